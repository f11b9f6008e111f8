"""Print the results of ``tagger tag``, as JSON or for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import islice
from typing import TYPE_CHECKING

from tagger.cli import output
from tagger.errors import TaggerError, shown

if TYPE_CHECKING:
    from tagger.cli.console import Console
    from tagger.model import PrecisionTarget, TaggerModel
    from tagger.papers import TaggedPaper
    from tagger.tagging import Addition, TagRun

_ROOM = 40
"""Characters that a table needs for titles and reasons; a narrower window shows a list instead."""
_SHOWN_GROUPS, _SHOWN_TITLES = 5, 4
"""Maximum numbers of groups of near duplicates, and of titles in a group, that are printed."""


def target_as_json(
    precision: float | None, target: PrecisionTarget | None
) -> dict[str, object] | None:
    """Return the target precision, and how far it is met; None without a target."""
    if target is None:
        return None
    return {
        "target_precision": precision,
        "expected_coverage": target.coverage,
        "shortfalls": target.shortfalls,
    }


def run_as_json(
    run: TagRun, model: str, entries: int, failed: Sequence[TaggerError]
) -> dict[str, object]:
    """Return the numbers of a run; ``failed`` are the records that could not be read."""
    values = {one.name: getattr(run, one.name) for one in fields(run)}
    return {
        "model": model,
        "files_failed": [str(problem) for problem in failed],
        "entries": entries,
        **{name: value for name, value in values.items() if isinstance(value, int)},
        "near_duplicates": len(run.near_duplicates),
        "problems": len(run.problems),
        "counts": run.counts,
        "drift": run.drift and {**run.drift.figures(), "warnings": run.drift.warnings},
        "output": [shown(path) for path in run.files],
    }


def print_tag_run(
    run: TagRun, model: TaggerModel, entries: int, show: int, addition: Addition | None
) -> None:
    """Print the first papers of a run, its counts and its files."""
    from rich.text import Text

    from tagger.cli.console import Console
    from tagger.papers import NEAR_DUPLICATES_FILE, group_near_duplicates

    console = Console(highlight=False)
    if show and run.papers:
        _print_papers(console, run, model, show)
    for facet in model.taxonomy.facets:
        counts = ", ".join(f"{tag} {n}" for tag, n in run.counts[facet.name].most_common())
        console.print(Text.assemble((f"{facet.name}: ", "bold"), counts or "no tags"))
    groups = group_near_duplicates((addition or run).near_duplicates)
    for group in groups[:_SHOWN_GROUPS]:
        titles = [*group.titles.values()]
        if more := titles[_SHOWN_TITLES:]:
            titles[_SHOWN_TITLES:] = [f"{len(more)} more"]
        text = f"{' / '.join(titles)} ({group.similarity} alike)"
        console.print(Text.assemble(("versions of one study? ", "yellow"), text))
    if rest := groups[_SHOWN_GROUPS:]:
        place = "see the report" if addition else NEAR_DUPLICATES_FILE
        console.print(f"and {len(rest)} more such groups: {place}")
    if run.shards_before:
        console.print(f"shards: {run.shards}, of them tagged before: {run.shards_before}")
    if run.worker_deaths or run.failures:
        console.print(
            f"workers that died: {run.worker_deaths}, restarts of all workers: {run.failures}"
        )
    refused = f"{len(run.problems)} not tagged, " if run.problems else ""
    console.print(
        f"{entries} entries, {run.papers} papers, {refused}{run.to_review} to review, "
        f"tagged by {model.name}"
    )
    if addition:
        output.echo(
            f"Added to {addition.library}: {addition.new} papers; {addition.known} were in it, "
            f"and it has {addition.papers} now"
        )
    else:
        output.echo("Written: " + ", ".join(map(shown, run.files)))


def _print_papers(console: Console, run: TagRun, model: TaggerModel, show: int) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    def lines(paper: TaggedPaper, name: str) -> list[str]:
        confidence = paper.confidence[name]
        return [f"{tag} {confidence[tag]:.2f}" for tag in paper.tags[name]] or ["-"]

    names, papers = [facet.name for facet in model.taxonomy.facets], [*islice(run.tagged(), show)]
    widths = (max(len(one) for p in papers for one in (name, *lines(p, name))) for name in names)
    if sum(width + 3 for width in widths) + _ROOM > console.width:
        for paper in papers:
            console.print(Text(paper.title, "bold"))
            for name in names:
                console.print(f"  {name}: {', '.join(lines(paper, name))}")
            if paper.review:
                console.print(f"  to review: {paper.review.reason}")
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        table.add_column("paper", ratio=2)
        for name in names:
            table.add_column(name, no_wrap=True)
        table.add_column("review", ratio=1, min_width=16)
        for paper in papers:
            cells = ("\n".join(lines(paper, name)) for name in names)
            reason = paper.review.reason if paper.review else ""
            table.add_row(*map(Text, (paper.title, *cells, reason)))
        console.print(table)
    if run.papers > show:
        console.print(f"and {run.papers - show} more")
