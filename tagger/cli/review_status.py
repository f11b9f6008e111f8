"""Print what ``tagger review status`` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tagger.cli.output import echo

if TYPE_CHECKING:
    from tagger.labels import Agreement, Conflict
    from tagger.review import ReviewStatus


def in_queues(queues: Mapping[str, int]) -> str:
    """Return the counts of queues in brackets, empty if there are none."""
    counts = ", ".join(f"{name} {count}" for name, count in queues.items())
    return f" ({counts})" if counts else ""


def print_status(found: ReviewStatus) -> None:
    """Print progress, verdicts on tags, conflicts, anchoring and agreement."""
    from tagger.cli.console import print_table

    echo(f"{found.waiting} waiting{in_queues(found.queues)}")
    echo(f"{found.done} done, {found.skipped} skipped")
    if found.median_seconds:
        echo(f"{found.median_seconds:.0f} s a paper (median)")
    open_ = [conflict for conflict in found.conflicts if not conflict.settled]
    echo(f"{len(open_)} in conflict, {len(found.conflicts) - len(open_)} settled")
    print_conflicts(open_)
    rows = [
        (facet, tag, str(verdict.given), str(verdict.taken_away), str(verdict.added))
        for facet, verdicts in found.verdicts.items()
        for tag, verdict in verdicts.items()
        if verdict.given or verdict.added
    ]
    if rows:
        numbers = ("assigned by the model", "removed", "added")
        print_table(("facet", "tag", *numbers), rows, numbers)
    for facet, (right, papers) in found.audit.items():
        echo(f"{facet}: {right} of {papers} audit papers had the right tags when they were sent")
    for anchoring in found.anchoring:
        echo(
            f"{anchoring.facet}: reviewers agree with the model on {anchoring.agree_shown:.0%} of "
            f"{anchoring.shown} answers with its tags shown, {anchoring.agree_blind:.0%} of "
            f"{anchoring.blind} without (difference {anchoring.difference:+.0%}, "
            f"p = {anchoring.p_value:.2f})"
        )
    print_agreement(found.agreement)


def print_conflicts(conflicts: Sequence[Conflict]) -> None:
    """Print one line for each conflict."""
    for conflict in conflicts:
        answers = "; ".join(
            f"{annotator}: {', '.join(tags) or 'none'}"
            for annotator, tags in conflict.answers.items()
        )
        state = "settled" if conflict.settled else "CONFLICT"
        text = f"{state}: '{conflict.title}', {conflict.facet or 'outcome'}: {answers}"
        if conflict.counts is not None:
            text += f" (counts: {', '.join(conflict.counts) or 'none'})"
        echo(text)


def print_agreement(agreements: Sequence[Agreement]) -> None:
    """Print the agreement of reviewers in each facet."""
    for agreement in agreements:
        pairs = [f"kappa {kappa:.2f} {who}" for who, kappa in agreement.kappa.items()]
        echo(
            f"{agreement.facet}: alpha {agreement.alpha:.2f} on {agreement.papers} papers with "
            "several reviewers; " + "; ".join(pairs)
        )
