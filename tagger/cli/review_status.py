"""Measure and print what ``tagger review status`` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from tagger.cli.output import echo
from tagger.errors import TaggerError
from tagger.labels import ConflictRule, LabelStore
from tagger.review import FacetProgress, Goal, GoalState, measure_progress
from tagger.taxonomy import Taxonomy

if TYPE_CHECKING:
    from tagger.evaluation import Figure, HeldOut
    from tagger.labels import Agreement, Conflict
    from tagger.registry import Registry, Version
    from tagger.review import ReviewStatus
    from tagger.training import TrainingData


def parse_goals(texts: Sequence[str], confidence: float, taxonomy: Taxonomy) -> dict[str, Goal]:
    """Return the goal of each facet, given as FACET=ACCURACY."""
    names = [facet.name for facet in taxonomy.facets]
    goals = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            accuracy = float(number)
        except ValueError:
            accuracy = 0.0
        if name not in names or not 0 < accuracy < 1:
            raise TaggerError(
                f"--enough must be FACET=ACCURACY with an accuracy between 0 and 1, not '{text}'",
                hint=f"For example {names[0]}=0.85. Facets: {', '.join(names)}",
            )
        goals[name] = Goal(name, accuracy, confidence)
    return goals


def measure(
    store: LabelStore, conflicts: ConflictRule, goals: Mapping[str, Goal], more: int
) -> tuple[str | None, list[FacetProgress]]:
    """Return the champion's name and its progress in each facet; nothing without a champion.

    Raises a TaggerError if goals are given without a champion, or it has too few labels.
    """
    from tagger.registry import Registry, learning_exponents
    from tagger.training import TrainingData

    registry = Registry()
    champion = registry.champion() if find_spec("mlflow") and registry.store.exists else None
    if champion is None:
        if goals:
            raise TaggerError(
                "--enough measures the champion, and there is none",
                hint="Train one first: tagger train",
            )
        return None, []
    data = TrainingData.of(store.labels(conflicts), store.taxonomy)
    exponents = learning_exponents(registry, champion)
    run = registry.runs([champion]).get(champion.run_id)
    parent = run.data.params.get("parent", "none") if run else "none"
    now = _predictions(registry, champion, data)
    if unknown := [name for name in goals if name not in now]:
        raise TaggerError(
            f"{champion.name} has too few labels of '{unknown[0]}' to measure its accuracy",
            hint="Review more papers, and train again",
        )
    before: dict[str, HeldOut] = {}
    with suppress(TaggerError):  # the version before may be gone
        if parent != "none":
            before = _predictions(registry, registry.find(parent), data)
    return champion.name, [
        measure_progress(held_out, before.get(name), more, exponents.get(name), goals.get(name))
        for name, held_out in now.items()
    ]


def exit_unless_enough(progress: Sequence[FacetProgress]) -> None:
    """Exit with code 1 if a goal is not reached."""
    if any(one.goal and not one.goal.enough for one in progress):
        raise typer.Exit(1)


def _predictions(registry: Registry, version: Version, data: TrainingData) -> dict[str, HeldOut]:
    from tagger.registry import predict_labelled

    return predict_labelled(registry.held_out(version), partial(registry.load, version), data)


def progress_lines(
    found: ReviewStatus, version: str | None, progress: Sequence[FacetProgress], more: int
) -> list[str]:
    """Describe the accuracy of the champion on the audit sample, and what labels bring.

    Without a champion, describe that of the models that the papers were sent with.
    """
    from tagger.evaluation import share

    lines = [
        f"{facet}: {_share(share(right, papers))} of {papers} audit papers right when sent"
        for facet, (right, papers) in ({} if version else found.audit).items()
    ]
    for one in progress:
        if not one.papers:
            lines.append(f"{one.facet}: not known on your papers: review some with --audit 50")
            continue
        text = f"{one.facet}: {version} tags {_share(one.accuracy)} of {one.papers} audit papers"
        if one.last_round:
            low, high = one.last_round.interval
            text += f", {_points(one.last_round.value)} ({_points(low)} to {_points(high)}) points"
            text += " since the version before"
        low, high = one.next_round
        text += f"; {more} more labels should bring {_points(low)} to {_points(high)} points"
        lines.append(text)
        lines += goal_lines([one])
    return lines


def goal_lines(progress: Sequence[FacetProgress]) -> list[str]:
    """Say of each goal whether it is reached, and what is missing."""
    return [f"{one.facet}: {_verdict(one.goal)}" for one in progress if one.goal]


def _verdict(state: GoalState) -> str:
    goal = state.goal
    bound = f"at least {state.at_least:.1%} with confidence {goal.confidence:g}"
    if state.enough:
        return f"enough for {goal.accuracy:g}: {bound}"
    if state.more_papers is None:
        return f"not enough for {goal.accuracy:g}: {bound}; accuracy has to rise"
    return (
        f"not enough for {goal.accuracy:g}: {bound}; if accuracy stays as it is, "
        f"{state.more_papers} more audit papers would show it"
    )


def _share(figure: Figure) -> str:
    low, high = figure.interval
    return f"{figure.value:.0%} ({low:.0%} to {high:.0%})"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def in_queues(queues: Mapping[str, int]) -> str:
    """Return the counts of queues in brackets, empty if there are none."""
    counts = ", ".join(f"{name} {count}" for name, count in queues.items())
    return f" ({counts})" if counts else ""


def print_status(found: ReviewStatus) -> None:
    """Print progress, verdicts on tags, conflicts, anchoring and agreement."""
    from tagger.cli.console import print_table

    if found.waiting is not None:
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
            counts = {*conflict.counts}
            who = [name for name, tags in conflict.answers.items() if {*tags} == counts]
            text += f" (counts: {', '.join(conflict.counts) or 'none'}"
            text += f", by {', '.join(who)})" if who else ")"
        echo(text)


def print_agreement(agreements: Sequence[Agreement]) -> None:
    """Print the agreement of reviewers in each facet."""
    for agreement in agreements:
        pairs = [f"kappa {kappa:.2f} {who}" for who, kappa in agreement.kappa.items()]
        echo(
            f"{agreement.facet}: alpha {agreement.alpha:.2f} on {agreement.papers} papers with "
            "several reviewers; " + "; ".join(pairs)
        )
