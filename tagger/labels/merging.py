"""Merge the labels of several annotators, and find their conflicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from tagger.labels.label import Label
from tagger.papers import Paper, group_entries, paper_id

ConflictRule = Literal["latest", "majority", "adjudicate"]
"""Rule that decides a facet on which reviewers of a paper disagree.

``latest``: the latest answer counts. ``majority``: the answer of more than half of the reviewers
counts, for each tag separately in a non-exclusive facet. ``adjudicate``: no answer counts until a
label is marked ``final``. A final answer overrules all others under each rule. A facet without a
decision is not annotated.
"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A disagreement of reviewers on one facet of one paper.

    ``answers`` are the tags in the latest answer of each annotator. If they disagree on whether the
    entry is a paper, ``facet`` is None and the answers are outcomes. ``counts`` is the answer that
    counts under the conflict rule, None if none does. ``settled`` tells whether a final answer or a
    majority decides; that an answer came last settles nothing.
    """

    id: str
    title: str
    facet: str | None
    answers: dict[str, tuple[str, ...]]
    counts: tuple[str, ...] | None
    settled: bool


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Seed labels of one paper that differ in a facet, the latest answer last."""

    id: str
    title: str
    facet: str
    answers: tuple[tuple[str, ...], ...]


def current_labels(labels: Iterable[Label]) -> list[Label]:
    """Return the labels that were neither replaced nor withdrawn, in their order.

    The last line of an annotation replaces its earlier lines.
    """
    current: dict[object, Label] = {}
    for line, label in enumerate(labels):
        key = label.origin.annotation if label.origin else line
        if label.outcome == "withdrawn":
            current.pop(key, None)
        else:
            current[key] = label
    return list(current.values())


def labels_by_paper(labels: Iterable[Label]) -> dict[str, list[Label]]:
    """Return the current labels of each paper by its id: seed labels, then corrections, by time.

    Labels of one paper under its title and under an identifier are joined. The id is that of the
    earliest label; at the same time, that of a seed label. If several papers share it, as chapters
    may share the DOI of their book, the earliest keeps it; those of the others are made from it and
    the title.
    """
    current = current_labels(labels)
    groups, firsts = list[list[Label]](), list[Label]()
    for indices in group_entries([label.paper for label in current]):
        own = [current[index] for index in indices]
        own.sort(key=lambda label: (label.source == "review", label.time))
        groups.append(own)
        firsts.append(min(own, key=_age))
    names: dict[str, int] = {}
    for number in sorted(range(len(groups)), key=lambda n: (*_age(firsts[n]), firsts[n].title)):
        name = firsts[number].id
        while name in names:
            name = paper_id(f"{firsts[number].title} {name}")
        names[name] = number
    return {name: groups[number] for name, number in sorted(names.items(), key=lambda one: one[1])}


def _age(label: Label) -> tuple[datetime, bool]:
    return label.time, label.source == "review"


def labelled_papers(labels: Iterable[Label]) -> list[Paper]:
    """Return each paper with a current label of any outcome, once."""
    return [latest_paper(own) for own in labels_by_paper(labels).values()]


def latest_paper(labels: Sequence[Label]) -> Paper:
    """Return the paper of labels as in the latest one, with the text that merging keeps."""
    return labels[-1].model_copy(update={"text": _text(labels)}).paper


def merge_labels(labels: Iterable[Label], conflicts: ConflictRule = "latest") -> list[Label]:
    """Merge all labels into one label per paper, for training.

    Corrections overrule seed labels at any time. Within one source, the latest answer of each
    annotator on each facet counts (at the same time, the later line), and the rule ``conflicts``
    decides between annotators; if it decides nothing, the latest seed label counts. Papers are in
    the order of their first labels. Entries that are not papers and papers without annotated facet
    are left out. A paper has a text if one of its labels has it, and is final if one of them is or
    if it was rechecked.
    """
    merged = []
    for name, own in labels_by_paper(labels).items():
        outcomes = _answers(_reviews(own), None)
        if outcomes and _resolve(outcomes, conflicts) != ("tagged",):
            continue
        tags: dict[str, tuple[str, ...]] = {}
        for source in ([label for label in own if label.source == "seed"], _reviews(own)):
            for facet in _facets(source):
                answers = _answers(source, facet)
                answer = _resolve(answers, conflicts)
                if answer is None and source[0].source == "seed":
                    answer = answers[-1].tags
                if answer is None:
                    tags.pop(facet, None)
                else:
                    tags[facet] = answer
        if tags:
            # The id must stay the same in later trainings, even if the paper gets an identifier.
            changes: dict[str, object] = {"id": name, "tags": tags, "outcome": "tagged"}
            changes["text"] = _text(own)
            # Whoever answers afterwards does not reopen what is settled.
            changes["final"] = any(label.final or label.queue == "recheck" for label in own)
            tagged = [label for label in own if label.tags]
            if any(label.audited for label in tagged):
                # A paper stays in the sample: those that somebody looks at again are the hard ones.
                changes["queue"] = "audit"
            # Source and queue are those of a label with tags: an auditor may be unable to tell.
            merged.append(tagged[-1].model_copy(update=changes))
    return merged


def non_paper_ids(labels: Iterable[Label], conflicts: ConflictRule = "latest") -> set[str]:
    """Return the ids of the entries that reviewers marked as not a paper."""
    return {
        name
        for name, own in labels_by_paper(labels).items()
        if _resolve(_answers(_reviews(own), None), conflicts) == ("not-a-paper",)
    }


def find_conflicts(labels: Iterable[Label], conflicts: ConflictRule = "latest") -> list[Conflict]:
    """Return the disagreements of reviewers, with the answer that counts under the rule."""
    found = []
    for name, own in labels_by_paper(labels).items():
        reviews = _reviews(own)
        for facet in (None, *_facets(reviews)):
            answers = _answers(reviews, facet)
            if len({frozenset(answer.tags) for answer in answers}) > 1:
                counts = _resolve(answers, conflicts)
                decided = conflicts == "majority" or any(answer.final for answer in answers)
                settled = decided and counts is not None
                tags = {answer.annotator: answer.tags for answer in answers}
                found.append(Conflict(name, own[0].title, facet, tags, counts, settled))
    return found


def find_contradictions(labels: Iterable[Label]) -> list[Contradiction]:
    """Return the disagreements of seed labels, unless a final label decides them."""
    found = []
    for name, own in labels_by_paper(labels).items():
        seeds = [label for label in own if label.source == "seed"]
        for facet in _facets(seeds):
            given = [label for label in seeds if facet in label.tags]
            answers = {frozenset(label.tags[facet]): label.tags[facet] for label in given}
            if len(answers) > 1 and not any(label.final for label in given):
                latest = given[-1].tags[facet]
                others = [tags for tags in answers.values() if {*tags} != {*latest}]
                found.append(Contradiction(name, own[0].title, facet, (*others, latest)))
    return found


def review_answers(
    by_paper: Mapping[str, Sequence[Label]], facet: str
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the latest review answer to a facet by paper and annotator.

    ``by_paper`` is the result of :func:`labels_by_paper`.
    """
    return {
        paper: {answer.annotator: answer.tags for answer in _answers(_reviews(own), facet)}
        for paper, own in by_paper.items()
    }


def _text(labels: Sequence[Label]) -> str | None:
    """Return the latest text of a paper; an empty one only if no label says that it has another."""
    texts = [label.text for label in labels if label.text != ""]
    return next((text for text in reversed(texts) if text), None if texts else "")


class _Answer(NamedTuple):
    annotator: str
    tags: tuple[str, ...]
    final: bool


def _reviews(labels: Sequence[Label]) -> list[Label]:
    return [label for label in labels if label.source == "review"]


def _facets(labels: Sequence[Label]) -> Iterable[str]:
    return dict.fromkeys(facet for label in labels for facet in label.tags)


def _answers(labels: Sequence[Label], facet: str | None) -> list[_Answer]:
    """Return the last answer of each annotator, the latest last; outcomes if ``facet`` is None."""
    last: dict[str, _Answer] = {}
    for label in labels:
        if facet is None and label.outcome != "cannot-tell":
            tags: tuple[str, ...] = (label.outcome,)
        elif facet in label.tags:
            tags = label.tags[facet]
        else:
            continue
        last.pop(label.annotator, None)
        last[label.annotator] = _Answer(label.annotator, tags, label.final)
    return list(last.values())


def _resolve(answers: Sequence[_Answer], rule: ConflictRule) -> tuple[str, ...] | None:
    """Return the tags of the deciding answer, or None; the last of ``answers`` is the latest."""
    finals = [answer for answer in answers if answer.final]
    if finals or not answers:
        return finals[-1].tags if finals else None
    if rule == "latest" or len({frozenset(answer.tags) for answer in answers}) == 1:
        return answers[-1].tags
    if rule == "adjudicate":
        return None
    votes = Counter(tag for answer in answers for tag in answer.tags)
    chosen = tuple(tag for tag, count in votes.items() if 2 * count > len(answers))
    tie = any(2 * count == len(answers) for count in votes.values())
    # If everybody gave tags, but no tag has a majority, there is no majority for no tags either.
    undecided = not chosen and all(answer.tags for answer in answers)
    return None if tie or undecided else chosen
