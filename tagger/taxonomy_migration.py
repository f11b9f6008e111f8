"""What a change of the taxonomy means for the labels of a folder, and what must be looked at again.

Which papers a change calls in question is not stored: it follows from the history and from the
labels that came after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tagger.labels import ConflictRule, Label, LabelStore, labels_by_paper, merge_labels
from tagger.paper import Paper
from tagger.taxonomy import Facet, Taxonomy
from tagger.taxonomy_changes import AddTag, Change, facet_of
from tagger.taxonomy_history import HistoryEntry, TaxonomyHistory, changed_text, record_change


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """What a change would do to a label folder.

    Parameters
    ----------
    change:
        The change in words.
    from_version, to_version:
        Of the taxonomy.
    labels, labels_changed:
        Lines of the label files, and how many of them read differently afterwards.
    papers_unjudged:
        Papers that are no longer judged in the facet.
    papers_concerned:
        Papers that were judged without a tag that is added now, and may need it.
    papers_to_review:
        Papers that the change asks to look at again.
    becomes_tree:
        True if the facet gets its first tag with a parent, False if it loses its last.
    """

    change: str
    from_version: str
    to_version: str
    labels: int
    labels_changed: int
    papers_unjudged: int
    papers_concerned: int
    papers_to_review: int
    becomes_tree: bool | None

    def as_dict(self) -> dict[str, Any]:
        """Return the plan for a script."""
        return asdict(self)


@dataclass(slots=True)
class Rereview:
    """A labelled paper that changes of the taxonomy call in question, and what to look at."""

    paper: Paper
    facets: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """What a reviewer is told; not which tag the paper has, for that would lead."""
        said = "; ".join(dict.fromkeys(self.questions))
        return f"Recheck: {said}."

    def as_dict(self) -> dict[str, Any]:
        """Return the paper for a script."""
        return {
            "id": self.paper.id,
            "title": self.paper.title,
            "facets": self.facets,
            "reason": self.reason,
        }


def plan_change(store: LabelStore, change: Change, rule: ConflictRule = "latest") -> ChangePlan:
    """Say what a change would do; nothing is written.

    Parameters
    ----------
    store:
        The label folder; its labels fit the taxonomy.
    change:
        The change.
    rule:
        What settles differences of reviewers.

    Raises
    ------
    TaggerError
        If the taxonomy does not allow the change, a label does not fit the taxonomy, or the file
        is laid out in a way that cannot be edited.
    """
    facet = facet_of(store.taxonomy, change.facet)
    after = change.apply(store.taxonomy)
    changed_text(store.folder, store.taxonomy, change)
    labels = store.all_labels()
    now = [_rewritten(label, change, facet, after) for label in labels]
    before = merge_labels(labels, rule)
    judged = {label.id for label in merge_labels(now, rule) if facet.name in label.tags}
    nested = any(tag.parent for tag in facet.tags)
    nests = any(tag.parent for tag in after.facet(facet.name).tags)
    return ChangePlan(
        change=change.describe(),
        from_version=store.taxonomy.version,
        to_version=after.version,
        labels=len(labels),
        labels_changed=sum(old.tags != new.tags for old, new in zip(labels, now, strict=True)),
        papers_unjudged=sum(
            facet.name in label.tags and label.id not in judged for label in before
        ),
        papers_concerned=sum(
            isinstance(change, AddTag) and change.concerns(label.tags, facet) for label in before
        ),
        papers_to_review=sum(change.questions(label.tags, facet) for label in before),
        becomes_tree=None if nested == nests or facet.exclusive else nests,
    )


def make_change_in(
    store: LabelStore, change: Change, who: str, reason: str | None = None
) -> HistoryEntry:
    """Make a change in a label folder, whole or not at all; the label files stay as they are.

    Raises
    ------
    TaggerError
        As :func:`plan_change`, or if the folder cannot be written to.
    """
    latest = max((label.time for label in store.all_labels()), default=None)
    return record_change(store.folder, store.taxonomy, change, who, reason, latest)


def papers_to_rereview(store: LabelStore, rule: ConflictRule = "latest") -> list[Rereview]:
    """Return the papers that changes of the taxonomy call in question, and nobody has seen since.

    A paper is seen when somebody judges the facet in terms of the taxonomy after the change, or
    says that it is no paper, or that it cannot be told.

    Parameters
    ----------
    store:
        The label folder.
    rule:
        What settles differences of reviewers.

    Raises
    ------
    TaggerError
        If a label cannot be read.
    """
    history = store.history
    standing = [
        (history.position(label.taxonomy, label.time), label.model_copy(update={"id": name}))
        for name, said in labels_by_paper(store.labels_as_given()).items()
        for label in said
    ]
    # Of many labels there are few that say different things.
    said = [(position, tuple(label.tags.items())) for position, label in standing]
    different = set(said)
    found: dict[str, Rereview] = {}
    for place, entry in enumerate(history.entries):
        facet = _asked_about(history, place)
        if facet is None:
            continue
        asking = {
            (position, tags)
            for position, tags in different
            if position <= place
            and entry.change.questions(history.rewrite(dict(tags), position, place), facet)
        }
        # What counts of several labels of a paper is what one of them says.
        papers = {label.id for own, (_, label) in zip(said, standing, strict=True) if own in asking}
        concerned = [(position, label) for position, label in standing if label.id in papers]
        seen = {
            label.id
            for position, label in concerned
            if position > place and (facet.name in label.tags or label.outcome != "tagged")
        }
        for label in _labels_at(history, place, concerned, rule):
            if label.id not in seen and entry.change.questions(label.tags, facet):
                one = found.setdefault(label.id, Rereview(label.paper))
                one.facets += [facet.name] * (facet.name not in one.facets)
                one.questions.append(entry.change.question())
    return list(found.values())


def count_tags(labels: Iterable[Label], taxonomy: Taxonomy) -> dict[str, dict[str, int]]:
    """Count, per facet and tag, the papers that have the tag or one that implies it."""
    counts = {facet.name: dict.fromkeys(facet.tag_names, 0) for facet in taxonomy.facets}
    for label in labels:
        for facet in taxonomy.facets:
            for tag in facet.with_ancestors(label.tags.get(facet.name, ())):
                counts[facet.name][tag] += 1
    return counts


def _asked_about(history: TaxonomyHistory, place: int) -> Facet | None:
    """Return the facet that a change asks about, before it; None if nothing is left to ask."""
    change = history.entries[place].change
    facet = history.taxonomy_at(place).facet(change.facet)
    after = change.apply(history.taxonomy_at(place)).facet(change.facet)
    today = {facet.name: facet.tag_names for facet in history.taxonomy.facets}
    if facet.name not in today:
        return None
    parents = {tag.name: tag.parent for tag in after.tags}
    for tag in change.new_tags():
        now = history.follow(facet.name, tag, place + 1)
        parent = parents[tag]
        # A new tag that was merged with its parent since is no more to be told from it.
        if now in today[facet.name] and (
            parent is None or now != history.follow(facet.name, parent, place + 1)
        ):
            return facet
    return None if change.new_tags() else facet


def _labels_at(
    history: TaxonomyHistory,
    place: int,
    standing: Iterable[tuple[int, Label]],
    rule: ConflictRule,
) -> list[Label]:
    """Return what was known of each paper at a position, in the terms of that time."""
    return merge_labels(
        [
            label.model_copy(update={"tags": history.rewrite(label.tags, position, place)})
            for position, label in standing
            if position <= place
        ],
        rule,
    )


def _rewritten(label: Label, change: Change, facet: Facet, after: Taxonomy) -> Label:
    tags = after.with_ancestors(change.rewrite(label.tags, facet))
    return label.model_copy(update={"tags": tags})
