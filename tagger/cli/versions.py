"""``tagger compare``, ``promote``, ``rollback`` and ``history``: the versions in MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from tagger.cli.console import Console
    from tagger.evaluation import Change, Comparison, FacetComparison, RuleOutcome
    from tagger.papers import Paper
    from tagger.registry import Promotion, Registry, RunFigures, Version, VersionSummary

_SHOWN_FLIPS = 10

VersionName = Annotated[
    str, typer.Argument(help="A version (3), an alias (champion) or the id of a training run.")
]
Versions = Annotated[
    list[str] | None,
    typer.Argument(
        help="Versions (3), aliases (champion) or ids of runs, also those of a bake-off; by "
        "default champion and challenger."
    ),
]
Html = Annotated[Path | None, typer.Option(help="Also write the page to this file.")]
Margin = Annotated[
    float,
    typer.Option(
        min=0.001,
        max=1,
        help="On reviewed papers the version may be worse by less than this share of accuracy; of "
        "micro-F1, if papers can have several tags.",
    ),
]
MaxTagLoss = Annotated[
    float, typer.Option(min=0, max=1, help="Largest loss of F1 of one tag, beyond noise.")
]
Force = Annotated[
    str | None,
    typer.Option(
        metavar="REASON", help="Promote the version even if the gate refuses; record this reason."
    ),
]
Reason = Annotated[str | None, typer.Option(help="The reason, which is recorded.")]


def compare(
    versions: Versions = None,
    digest: options.Digests = None,
    html: Html = None,
    labels: options.ReviewedLabels = None,
    format_name: options.FormatName = None,
    column: options.Columns = None,
    as_json: options.Json = False,
) -> None:
    """Compare versions or runs with the first one, on labelled papers.

    Two versions are compared on reviewed papers first, also those whose labels came later, then on
    seed labels. A paper that a version was trained on has the tags that it got in cross-validation;
    others are tagged now. For each facet you see whether the second version is better, worse or not
    different beyond noise, and which papers it gets wrong that the first got right, and the
    reverse. With --digest you also see how often the tags of unlabelled papers differ. The full
    page is logged to the second version's run in MLflow. Several runs, or those
    of a bake-off, are shown in one table.

    Example: tagger compare champion challenger --digest monday.txt
    """
    registry = output.open_registry()
    from tagger.registry import compare_runs, compare_versions

    runs = [registry.find_run(name) for name in versions or ("champion", "challenger")]
    if len(runs) == 2 and all(run.number for run in runs):
        papers = output.read_pages(digest, format_name, column)[0] if digest else []
        pair = runs[0], runs[1]
        comparison = compare_versions(registry, *pair, labels)
        _complete(registry, comparison, pair, papers, html, as_json=as_json)
        return
    if digest or html:
        raise TaggerError(
            "--digest and --html compare two registered versions",
            hint="Give two versions, such as champion and challenger",
        )
    with output.working("Comparing"):
        found = compare_runs(registry, runs)
    if as_json:
        output.print_json({"runs": [each.as_dict() for each in found]})
    else:
        print_runs(found, "Macro-F1, and its difference from the first")


def _complete(
    registry: Registry,
    found: Comparison,
    versions: tuple[Version, Version],
    papers: Sequence[Paper],
    html: Path | None,
    *,
    as_json: bool,
) -> None:
    """Measure churn and speed, log the comparison, and print it."""
    from tagger.registry import comparison_page, log_comparison, measure_churn_and_speed

    second = versions[1]
    with output.progress() as step:
        found = measure_churn_and_speed(registry, found, *versions, papers, step)
    if html:
        from tagger._util.atomic import replacing

        with replacing(html) as file:
            file.write(comparison_page(found))
    place = None
    try:
        place = log_comparison(registry, found, second)
    except TaggerError as error:
        output.warn(f"the page was not logged: {error}")
    if as_json:
        output.print_json({**found.as_dict(), "run": second.run_id, "page": place})
        return
    _print_comparison(found)
    if place:
        output.echo(f"The page is {place} of run {second.run_id} in MLflow")


def promote(
    version: VersionName = "challenger",
    margin: Margin = 0.05,
    max_tag_loss: MaxTagLoss = 0.15,
    force: Force = None,
    labels: options.ReviewedLabels = None,
    as_json: options.Json = False,
) -> None:
    """Make a version the champion, which 'tagger tag' uses, if it passes the gate.

    The gate compares it with the champion. At least 30 reviewed papers, sampled at random, must
    show that it is less than 5 points worse there. On seed labels, macro-F1 must not be worse
    beyond noise. No single tag may lose much on either. If a rule fails, or there are too few
    papers to tell, nothing is changed and the exit code is 1.

    Example: tagger promote challenger
    """
    from tagger.evaluation import GateRules
    from tagger.registry import promote as promote_version

    if force is not None and not force.strip():
        raise TaggerError(
            "--force needs a reason", hint="For example --force 'checked 20 papers by hand'"
        )
    registry = output.open_registry()
    rules = GateRules(margin, max_tag_loss)
    with output.working("Comparing"):
        done = promote_version(registry, registry.find(version), rules, force, labels)
    if as_json:
        output.print_json(
            {
                "model": done.version.name,
                "promoted": done.promoted,
                "replaced": done.replaced.name if done.promoted and done.replaced else None,
                "forced": force,
                "rules": done.outcomes,
            }
        )
    else:
        _print_promotion(done)
    if not done.promoted:
        raise typer.Exit(1)


def rollback(reason: Reason = None, as_json: options.Json = False) -> None:
    """Make the previous champion the champion again.

    Example: tagger rollback --reason "too many papers called surveys"
    """
    from tagger.registry import roll_back

    with output.working("Rolling back"):
        given_up, champion = roll_back(output.open_registry(), reason)
    if as_json:
        output.print_json({"model": champion.name, "given_up": given_up.name, "reason": reason})
    else:
        output.echo(f"{champion.name} is champion again, in place of {given_up.name}")


def history(as_json: options.Json = False) -> None:
    """List the versions: their labels, their macro-F1, and why each is or was champion.

    The macro-F1 on reviewed papers comes first, then that on seed labels.

    Example: tagger history
    """
    from tagger.registry import version_history

    with output.working("Reading versions"):
        versions = version_history(output.open_registry())
    if as_json:
        output.print_json({"versions": versions})
    elif versions:
        _print_history(versions)
    else:
        output.echo("No version yet: 'tagger train' makes the first")


def print_runs(runs: Sequence[RunFigures], title: str) -> None:
    """Print a table of runs: macro-F1 of each facet, the difference from the first, and cost."""
    from tagger.cli.console import print_table
    from tagger.registry import COSTS

    facets = list(runs[0].figures)
    costs = {name: label for name, label in COSTS.items() if any(name in r.cost for r in runs)}
    rows = []
    for run in runs:
        cells = {name: f"{found['macro_f1']:.3f}" for name, found in run.figures.items()}
        against = run.against_first
        for facet in against.main.values() if against else ():
            change = facet.figures["macro_f1"]
            low, high = change.interval
            cells[facet.facet] += f" {change.difference:+.3f} ({low:+.3f} to {high:+.3f})"
        cost = (f"{run.cost[name]:.1f}" if name in run.cost else "-" for name in costs)
        shown = (cells.get(name, "-") for name in facets)
        rows.append((run.name, *shown, against.verdict if against else "", *cost))
    print_table(
        ("run", *facets, "verdict", *costs.values()), rows, (*facets, *costs.values()), title
    )
    for name, measured_on in runs[0].measured_on.items():
        output.echo(f"{name}: measured on {measured_on}")


def _print_comparison(found: Comparison) -> None:
    from rich.text import Text

    from tagger.cli.console import Console

    console = Console(highlight=False)
    for facet in found.facets:
        _print_facet(console, found, facet)
    if found.left_out:
        console.print(f"Not compared: {found.left_out} papers held out in different folds")
    if found.skipped:
        console.print(f"Not compared, because their tags differ: {', '.join(found.skipped)}")
    if found.unmeasured:
        names = ", ".join(found.unmeasured)
        console.print(f"Not compared, because {found.before} was not measured in it: {names}")
    for name, share in found.churn.shares.items() if found.churn else ():
        papers = found.churn.papers if found.churn else 0
        console.print(f"{name}: the tags of {share:.1%} of {papers} unlabelled papers differ")
    if found.speed:
        console.print(f"{found.speed.before:.0f} and {found.speed.after:.0f} abstracts per second")
    console.print(
        Text.assemble(f"{found.after} against {found.before}: ", (found.headline, "bold"))
    )


def _print_promotion(done: Promotion) -> None:
    from rich.text import Text

    from tagger.cli.console import print_table

    def mark(outcome: RuleOutcome) -> Text:
        if outcome.cannot_tell:
            return Text("cannot tell", "bold yellow")
        return Text("passed", "green") if outcome.passed else Text("failed", "bold red")

    rows = [(mark(one), one.facet, one.rule, one.figure) for one in done.outcomes]
    if rows:
        print_table(("", "facet", "rule", "found"), rows)
    name = done.version.name
    if not done.promoted and done.replaced:
        output.echo(f"{name} is not promoted: {done.replaced.name} stays champion")
    elif done.replaced:
        output.echo(f"{name} is champion now, in place of {done.replaced.name}")
    else:
        output.echo(f"{name} is champion")


def _print_history(versions: Sequence[VersionSummary]) -> None:
    from rich.text import Text

    from tagger.cli.console import print_table
    from tagger.evaluation import MIN_PAPERS, UNKNOWN

    facets = list(
        dict.fromkeys(name for version in versions for name in version.seed | version.reviewed)
    )
    numbers = ("labels\n(reviewed)", *facets, "to\nreview")
    rows: list[list[str | Text]] = []
    for version in versions:
        aliases = "".join(f"\n{alias}" for alias in version.aliases)
        rows.append(
            [
                Text.assemble(version.name, (aliases, "bold green"), f"\n{version.created[:10]}"),
                f"{version.labels} ({version.labels_from_review})",
                *(_macro_f1(version, name) for name in facets),
                "not known" if version.review_share is None else f"{version.review_share:.0%}",
            ]
        )
    title = "Macro-F1 on reviewed papers; below it, that on seed labels"
    print_table(("version", *numbers), rows, numbers, title)
    for version in versions:
        few = version.labels < MIN_PAPERS and "few labels: trust the intervals, not the figures"
        if notes := [note for note in (version.why, few) if note]:
            output.echo(f"{version.name}: {'; '.join(notes)}")
    if not versions[-1].reviewed:
        output.echo(f"{versions[-1].name}: {UNKNOWN}")
    output.echo("Each is measured on its own papers; 'tagger compare' measures two on the same")


def _macro_f1(version: VersionSummary, facet: str) -> str:
    """Return the macro-F1 of a version on reviewed papers and on seed labels, one line each."""
    reviewed, seed = version.reviewed.get(facet), version.seed.get(facet)
    first = (
        f"{output.in_words(reviewed)}, {version.reviewed_papers} papers"
        if reviewed
        else "not known"
    )
    return f"{first}\nseed {output.in_words(seed)}" if seed else first


def _print_facet(console: Console, found: Comparison, facet: FacetComparison) -> None:
    from rich.text import Text

    from tagger.cli.console import print_table
    from tagger.evaluation import METRICS

    def row(name: str, labels: str, change: Change, known: object) -> list[str | Text]:
        if not known:
            return [name, labels, "not known", "not known", "", ""]
        low, high = change.interval
        difference = Text(f"{change.difference:+.3f}", "bold" if change.beyond_noise else "")
        figures = f"{change.before:.3f}", f"{change.after:.3f}"
        return [name, labels, *figures, difference, f"{low:+.2f}, {high:+.2f}"]

    numbers = ("labels", found.before, found.after, "difference", "95% interval")
    labels, some = facet.labels, any(facet.labels.values())
    rows = [row(METRICS[n].label, "", c, some or "f1" not in n) for n, c in facet.figures.items()]
    rows += [row(f"F1 of {tag}", str(labels[tag]), c, labels[tag]) for tag, c in facet.tags.items()]
    title = f"{facet.facet}, {facet.measured_on}: {facet.verdict}"
    print_table(("", *numbers), rows, numbers, title)
    p_value = f"p = {facet.p_value:.3f}" if facet.p_value >= 0.001 else "p < 0.001"
    console.print(
        f"{facet.unseen} of {facet.papers} papers are new to a version; McNemar's test: {p_value}"
    )
    for title, flips in (
        ("Right before and wrong now", facet.negative_flips),
        ("Wrong before and right now", facet.positive_flips),
    ):
        console.print(f"{title}: {len(flips)} ({len(flips) / facet.papers:.1%})")
        for flip in flips[:_SHOWN_FLIPS]:
            before, after = (", ".join(tags) or "-" for tags in (flip.before, flip.after))
            console.print(Text(f"  {flip.title} ({before} -> {after})"), soft_wrap=True)
        if len(flips) > _SHOWN_FLIPS:
            console.print(f"  and {len(flips) - _SHOWN_FLIPS} more on the page")
