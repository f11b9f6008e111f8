"""Change the taxonomy of a label folder: effects on labels, and papers to review again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tagger._util.atomic import exclusively, replacing
from tagger.errors import TaggerError
from tagger.labels.label import Label
from tagger.labels.merging import ConflictRule, labels_by_paper, latest_paper, merge_labels
from tagger.labels.store import LabelStore
from tagger.papers import Paper
from tagger.taxonomy import (
    TAXONOMY_FILE,
    Change,
    Facet,
    Taxonomy,
    TaxonomyDocument,
    compare_taxonomies,
    open_document,
)


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """The effects of a change on a label folder.

    ``changes`` describes the change. ``labels_changed`` labels would have other tags, and
    ``papers_unannotated`` papers would lose their annotation in a facet. ``becomes_tree`` is True
    if a facet gets its first tag with a parent, False if it loses the last one, else None.
    """

    changes: tuple[str, ...]
    from_version: str
    to_version: str
    labels: int
    labels_changed: int
    papers_unannotated: int
    papers_to_review: int
    becomes_tree: bool | None


@dataclass(frozen=True, slots=True)
class Rereview:
    """A labelled paper to review again after changes of the taxonomy, with a question per facet.

    Questions do not name the tags of the paper, which could bias the reviewer (anchoring).
    """

    paper: Paper
    questions: dict[str, str]

    @property
    def reason(self) -> str:
        """The text displayed to the reviewer."""
        return f"Recheck: {'; '.join(self.questions.values())}."


def plan_change(store: LabelStore, change: Change, rule: ConflictRule = "latest") -> ChangePlan:
    """Return the effects of a change without writing it; raise TaggerError if it is not allowed."""
    before, after = store.taxonomy, _changed_document(store, change).taxonomy
    originals, labels = store.original_labels(), store.all_labels()
    now = _translated(originals, after)
    annotated_before, annotated_after = (
        {(one.id, facet) for one in merge_labels(some, rule) for facet in one.tags}
        for some in (labels, now)
    )

    def questions(taxonomy: Taxonomy) -> set[tuple[str, str]]:
        found = _rereviews(originals, taxonomy, rule)
        return {(one.paper.id, facet) for one in found for facet in one.questions}

    trees = [
        {
            facet.name
            for facet in one.facets
            if not facet.exclusive and any(tag.parent for tag in facet.tags)
        }
        for one in (before, after)
    ]
    return ChangePlan(
        changes=tuple(one.describe() for one in compare_taxonomies(before, after)),
        from_version=before.version,
        to_version=after.version,
        labels=len(labels),
        labels_changed=sum(old.tags != new.tags for old, new in zip(labels, now, strict=True)),
        papers_unannotated=len(annotated_before - annotated_after),
        papers_to_review=len(questions(after) - questions(before)),
        becomes_tree=None if trees[0] == trees[1] else trees[0] < trees[1],
    )


def apply_change(store: LabelStore, change: Change) -> Taxonomy:
    """Write a change to the taxonomy of a label folder, and return the new taxonomy.

    The label files are not changed.
    """
    with exclusively(store.folder / TAXONOMY_FILE):
        document = _changed_document(store, change)
        with replacing(store.folder / TAXONOMY_FILE) as file:
            file.write(document.text())
    return document.taxonomy


def papers_to_rereview(store: LabelStore, rule: ConflictRule = "latest") -> list[Rereview]:
    """Return the papers to review again after changes of the taxonomy.

    These are papers labelled before the time ``since`` of a tag that they lack, if they have its
    parent or it has none, and papers whose tag in an exclusive facet is retired. A paper is done
    when somebody annotates the facet afterwards or gives another outcome.
    """
    return _rereviews(store.original_labels(), store.taxonomy, rule)


def count_tags(labels: Iterable[Label], taxonomy: Taxonomy) -> dict[str, dict[str, int]]:
    """Count the papers of each facet and tag, including papers with a descendant of the tag."""
    counts = {facet.name: dict.fromkeys(facet.tag_names, 0) for facet in taxonomy.facets}
    for label in labels:
        for facet in taxonomy.facets:
            for tag in facet.with_ancestors(label.tags.get(facet.name, ())):
                counts[facet.name][tag] += 1
    return counts


def _changed_document(store: LabelStore, change: Change) -> TaxonomyDocument:
    path = store.folder / TAXONOMY_FILE
    document = open_document(path)
    if document.taxonomy != store.taxonomy:
        raise TaggerError(
            "was changed by another process", path=path, hint="Check the file, then try again"
        )
    change(document)
    try:
        return TaxonomyDocument(document.text(), path)
    except TaggerError as error:
        raise TaggerError(
            f"this change is not possible: {error.problem}", path=path, hint=error.hint
        ) from error


def _translated(labels: Sequence[Label], taxonomy: Taxonomy) -> list[Label]:
    return [label.model_copy(update={"tags": taxonomy.read(label.tags)}) for label in labels]


def _rereviews(
    originals: Sequence[Label], taxonomy: Taxonomy, rule: ConflictRule
) -> list[Rereview]:
    merged = {
        label.id: label.tags for label in merge_labels(_translated(originals, taxonomy), rule)
    }
    found = []
    for name, labels in labels_by_paper(originals).items():
        tags = merged.get(name, {})
        questions = {
            facet.name: f"look at {facet.name}, which has {change}"
            for facet in taxonomy.facets
            if (change := _change(facet, tags.get(facet.name), labels))
        }
        if questions:
            found.append(Rereview(latest_paper(labels), questions))
    return found


def _change(facet: Facet, tags: Sequence[str] | None, labels: Sequence[Label]) -> str | None:
    """Return the change of a facet that a paper must be reviewed for, or None.

    ``tags`` are the merged tags of the paper, None if the facet is not annotated.
    """
    times = [one.time for one in labels if facet.name in one.tags or one.outcome != "tagged"]
    latest = max(times, default=None)
    if latest is None:
        return None
    if tags is None:
        lost = [
            label.time
            for label in labels
            if (names := label.tags.get(facet.name)) and not any(map(facet.meanings.get, names))
        ]
        return "one tag less" if facet.exclusive and lost and latest <= max(lost) else None
    new = [
        tag.name
        for tag in facet.tags
        if tag.since
        and tag.name not in tags
        and (tag.parent is None or tag.parent in tags)
        and latest <= tag.since
    ]
    return f"new tag{'s' * (len(new) > 1)}: {', '.join(new)}" if new else None
