"""``tagger discover``: find tags that the taxonomy lacks."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagger.taxonomy import Candidate, Facet


def discover(
    files: Annotated[list[Path], typer.Argument(help="Digest pages.")],
    model: output.ModelOption = "champion",
    facet: Annotated[
        str | None,
        typer.Option(help="The facet that may lack tags; by default each that is not exclusive."),
    ] = None,
    min_papers: Annotated[int, typer.Option(min=2, help="Fewer papers make no candidate.")] = 4,
    count: Annotated[int, typer.Option(min=1, help="Candidates a facet, at most.")] = 5,
    format_name: output.FormatOption = None,
    column: output.ColumnOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Find tags that the taxonomy lacks: groups of papers that no tag fits.

    Papers for which each tag of a facet is less likely than not are grouped by what they are about.
    Each group comes with the terms that set it apart, its most central papers, and a line that adds
    a tag for it. Whether it is one is yours to say: put its definition into your own words.

    Example: tagger discover monday.txt tuesday.txt
    """
    papers, problems = output.read_pages(files, format_name, column)
    loaded = output.load_model_named(model, papers)
    from tagger.model import default_cache
    from tagger.taxonomy import find_facet
    from tagger.training import bundled_encoder

    facets: Sequence[Facet] = loaded.taxonomy.facets
    if facet is not None:
        facets = [find_facet(loaded.taxonomy, facet)]
    else:
        # Every paper has a tag of an exclusive facet: few lack one there.
        facets = [one for one in facets if not one.exclusive] or facets
    with output.needs_extra("train"), output.progress() as step:
        from tagger.taxonomy import discover as find_candidates
        from tagger.taxonomy import uncovered_papers

        probabilities = loaded.predict(papers, partial(step, "Tagging")).probabilities
        texts = [paper.text for paper in papers]
        vectors = bundled_encoder(default_cache()).encode(texts, partial(step, "Reading papers"))
        found = {
            one.name: find_candidates(
                papers, vectors, probabilities[one.name], one, min_papers=min_papers, count=count
            )
            for one in facets
        }
    far = {one.name: len(uncovered_papers(probabilities[one.name])) for one in facets}
    # The tag is added to the folder whose definitions were asked; otherwise to the usual one.
    labels = Path(model) if loaded.name.startswith("local/definitions-") else Path("labels")
    if as_json:
        rows = {
            name: {"far_papers": far[name], "candidates": [_as_dict(one, labels) for one in some]}
            for name, some in found.items()
        }
        output.print_json({"model": loaded.name, "papers": len(papers), "facets": rows})
    else:
        for name, candidates in found.items():
            _print_candidates(name, candidates, far[name], len(papers), labels)
    if problems:
        raise typer.Exit(2)


def _command(candidate: Candidate, labels: Path) -> str:
    place, definition = f"{candidate.facet}/{candidate.name}", shlex.quote(candidate.definition)
    where = "" if labels == Path("labels") else f" --labels {shlex.quote(str(labels))}"
    return f"tagger taxonomy add {place} --definition {definition}{where}"


def _as_dict(candidate: Candidate, labels: Path) -> dict[str, object]:
    return {
        "name": candidate.name,
        "terms": candidate.terms,
        "coherence": candidate.coherence,
        "papers": output.paper_rows(candidate.papers),
        "command": _command(candidate, labels),
    }


def _print_candidates(
    facet: str, candidates: Sequence[Candidate], far: int, papers: int, labels: Path
) -> None:
    if not candidates:
        lacking = f"{far} of {papers} papers have no likely tag"
        found = "no group among them is large and coherent enough."
        output.echo(f"{facet}: nothing found. {lacking}, and {found}")
        return
    output.echo(f"{facet}: groups among {far} of {papers} papers that have no likely tag")
    for one in candidates:
        size = f"{len(one.papers)} papers, coherence {one.coherence:.2f}"
        output.echo(f"\n{', '.join(one.terms)} ({size})")
        for paper in one.papers[:3]:
            output.echo(f"  {paper.title}")
        output.echo(f"  {_command(one, labels)}")
    output.echo("\nThe commands add a tag: give it a name and a definition in your own words.")
