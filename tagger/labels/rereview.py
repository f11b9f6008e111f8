"""Changes of the taxonomy of a label folder: what they do to labels, and what to look at again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tagger._util.atomic import exclusively, replacing
from tagger.errors import TaggerError
from tagger.labels.store import ConflictRule, Label, LabelStore, labels_by_paper, merge_labels
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
    """What a change would do to a label folder: in words, and in numbers of labels and papers.

    ``labels_changed`` labels read differently afterwards, ``papers_unjudged`` papers are no longer
    judged in a facet. ``becomes_tree`` is True if a facet gets its first tag with a parent, False
    if it loses its last.
    """

    changes: tuple[str, ...]
    from_version: str
    to_version: str
    labels: int
    labels_changed: int
    papers_unjudged: int
    papers_to_review: int
    becomes_tree: bool | None


@dataclass(frozen=True, slots=True)
class Rereview:
    """A labelled paper that changes of the taxonomy call in question: per facet, what to look at.

    Questions do not name the tags that the paper has, for that would lead the reviewer.
    """

    paper: Paper
    questions: dict[str, str]

    @property
    def reason(self) -> str:
        """What the reviewer is told."""
        return f"Recheck: {'; '.join(self.questions.values())}."


def plan_change(store: LabelStore, change: Change, rule: ConflictRule = "latest") -> ChangePlan:
    """Say what a change would do, if the taxonomy allows it; nothing is written."""
    before, after = store.taxonomy, _changed(store, change).taxonomy
    given, labels = store.labels_as_given(), store.all_labels()
    now = [label.model_copy(update={"tags": after.read(label.tags)}) for label in given]
    judged_before, judged_after = (
        {(one.id, facet) for one in merge_labels(some, rule) for facet in one.tags}
        for some in (labels, now)
    )

    def asked(taxonomy: Taxonomy) -> set[tuple[str, str]]:
        found = _rereviews(given, taxonomy, rule)
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
        papers_unjudged=len(judged_before - judged_after),
        papers_to_review=len(asked(after) - asked(before)),
        becomes_tree=None if trees[0] == trees[1] else trees[0] < trees[1],
    )


def make_change_in(store: LabelStore, change: Change) -> Taxonomy:
    """Make a change in a label folder, whose label files stay; return its new taxonomy."""
    with exclusively(store.folder / TAXONOMY_FILE):
        document = _changed(store, change)
        with replacing(store.folder / TAXONOMY_FILE) as file:
            file.write(document.text())
    return document.taxonomy


def papers_to_rereview(store: LabelStore, rule: ConflictRule = "latest") -> list[Rereview]:
    """Return the papers that changes of the taxonomy call in question, and nobody has seen since.

    They are those labelled before the ``since`` of a tag that they lack, below a tag that they
    have or at the top, and those whose answer in an exclusive facet is retired. A paper is seen
    when somebody judges the facet afterwards, says that it is no paper, or that it cannot be told.
    """
    return _rereviews(store.labels_as_given(), store.taxonomy, rule)


def count_tags(labels: Iterable[Label], taxonomy: Taxonomy) -> dict[str, dict[str, int]]:
    """Count, per facet and tag, the papers that have the tag or one that implies it."""
    counts = {facet.name: dict.fromkeys(facet.tag_names, 0) for facet in taxonomy.facets}
    for label in labels:
        for facet in taxonomy.facets:
            for tag in facet.with_ancestors(label.tags.get(facet.name, ())):
                counts[facet.name][tag] += 1
    return counts


def _changed(store: LabelStore, change: Change) -> TaxonomyDocument:
    path = store.folder / TAXONOMY_FILE
    document = open_document(path)
    if document.taxonomy != store.taxonomy:
        raise TaggerError(
            "has been changed meanwhile", path=path, hint="See what is there, then try again"
        )
    change(document)
    try:
        return TaxonomyDocument(document.text(), path)
    except TaggerError as error:
        raise TaggerError(
            f"the taxonomy does not allow it: {error.problem}", path=path, hint=error.hint
        ) from error


def _rereviews(given: Sequence[Label], taxonomy: Taxonomy, rule: ConflictRule) -> list[Rereview]:
    read = [label.model_copy(update={"tags": taxonomy.read(label.tags)}) for label in given]
    merged = {label.id: label.tags for label in merge_labels(read, rule)}
    found = []
    for name, labels in labels_by_paper(given).items():
        tags = merged.get(name, {})
        questions = {
            facet.name: f"look at {facet.name}, which has {new}"
            for facet in taxonomy.facets
            if (new := _question(facet, tags.get(facet.name), labels))
        }
        if questions:
            found.append(Rereview(labels[-1].paper, questions))
    return found


def _question(facet: Facet, tags: Sequence[str] | None, labels: Sequence[Label]) -> str | None:
    """Return what a facet has that calls a paper's tags, None if not annotated, in question."""
    seen = [one.time for one in labels if facet.name in one.tags or one.outcome != "tagged"]
    latest = max(seen, default=None)
    if latest is None:
        return None
    if tags is None:
        lost = [
            label.time
            for label in labels
            if (given := label.tags.get(facet.name)) and not any(map(facet.readings.get, given))
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
