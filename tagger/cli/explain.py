"""``tagger explain``: why a paper has its tags."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.model import Explanation
    from tagger.papers import Paper


def explain(
    paper: Annotated[str, typer.Argument(help="The title, a part of it, or the id of the paper.")],
    files: options.Files,
    model: options.Model = "champion",
    format_name: options.FormatName = None,
    column: options.Columns = None,
    as_json: options.Json = False,
) -> None:
    """Show why a paper has its tags.

    For each tag it shows the sentences that raise its probability most, with the probability
    without them. It also shows the three nearest labelled papers, with their tags.

    Example: tagger explain "a part of its title" monday.txt
    """
    papers, problems = output.read_pages(files, format_name, column)
    chosen = _find(paper, papers)
    from tagger.model import explain as explain_paper

    loaded = output.load_model_named(model, papers)
    with output.working("Leaving out one sentence at a time"):
        explanation = explain_paper(chosen, loaded, loaded.rule())
    show = partial(_print_explanation, explanation)
    output.finish(explanation.as_row(), problems, as_json, show)


def _find(wanted: str, papers: list[Paper]) -> Paper:
    from tagger.papers import paper_id

    wanted = " ".join(wanted.split())
    exact = [paper for paper in papers if not paper.known_as.isdisjoint((wanted, paper_id(wanted)))]
    part = wanted.casefold()
    found = exact or [paper for paper in papers if part in paper.title.casefold()]
    if not found:
        problem = f"no paper has the id or title '{wanted}'"
        if close := _closest_title(part, papers):
            raise TaggerError(problem, hint=f"Perhaps you meant '{close}'")
        titles = "; ".join(paper.title for paper in papers[:3])
        raise TaggerError(problem, hint=f"Give a title, a part of it, or an id: {titles}")
    if len(found) > 1:
        titles = "; ".join(paper.title for paper in found[:3])
        problem = f"{len(found)} papers have '{wanted}' in their titles: {titles}"
        raise TaggerError(problem, hint="Give more of the title")
    return found[0]


def _closest_title(part: str, papers: list[Paper]) -> str | None:
    """Return the title with the words most like those of a misspelt part of it, if any are."""
    words, titles = re.findall(r"\w+", part), dict[str, str]()
    for paper in papers:
        own = re.findall(r"\w+", paper.title.casefold())
        for start in range(max(len(own) - len(words), 0) + 1):
            titles.setdefault(" ".join(own[start : start + len(words)]), paper.title)
    close = get_close_matches(" ".join(words), filter(None, titles), 1, 0.7)
    return titles[close[0]] if close else None


def _print_explanation(explanation: Explanation) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tagger.cli.console import Console
    from tagger.model import most_influential
    from tagger.papers.readers.cleaning import clean_text

    console = Console(highlight=False)
    decision = explanation.decision
    console.print(Text(decision.title, style="bold"))
    for facet, tags in explanation.evidence.items():
        if not tags:
            console.print(Text(f"{facet}: no tags"))
        for tag, sentences in tags.items():
            doubt = "" if tag in decision.tags[facet] else " (not assigned)"
            console.print(
                Text(f"\n{facet}: {tag} {decision.confidence[facet][tag]:.2f}{doubt}", style="bold")
            )
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
            table.add_column("without it", justify="right")
            table.add_column("sentence", ratio=1)
            carrying = most_influential(sentences)
            for one in carrying:
                table.add_row(f"{one.without:.2f}", Text(one.sentence))
            console.print(table if carrying else "No single sentence makes the difference.")
    if explanation.neighbours:
        console.print(Text("\nNearest labelled papers", style="bold"))
    for near in explanation.neighbours:
        given = ", ".join(tag for tags in near.tags.values() for tag in tags) or "no tags"
        console.print(Text(f"{near.similarity:.2f}  {clean_text(near.title)} [{given}]"))
    if decision.review:
        console.print(Text(f"\nFor review: {decision.review.reason}", style="yellow"))
    console.print(f"Tagged by {decision.model}")
