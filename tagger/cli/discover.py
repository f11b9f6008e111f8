"""``tagger discover``: find tags that the taxonomy lacks."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tagger.model import TaggerModel
    from tagger.papers import Paper
    from tagger.taxonomy import Candidate, Facet

FacetName = Annotated[
    str | None,
    typer.Option(
        "--facet", help="The facet to search; by default every facet that is not exclusive."
    ),
]
MinPapers = Annotated[int, typer.Option(min=2, help="Smallest number of papers of a group.")]
Count = Annotated[int, typer.Option(min=1, help="Largest number of groups for each facet.")]


def discover(
    files: options.Files,
    model: options.Model = "champion",
    facet: FacetName = None,
    min_papers: MinPapers = 4,
    count: Count = 5,
    format_name: options.FormatName = None,
    column: options.Columns = None,
    as_json: options.Json = False,
) -> None:
    """Find tags that the taxonomy lacks: groups of papers that no tag fits.

    The papers for which every tag of a facet has a probability below 0.5 are grouped by similarity.
    Each group comes with its most specific terms, its coherence (0 for random papers, 1 for
    copies), its most central papers, and a command that adds a tag for it. You decide whether it is
    a tag; write the definition in your own words.

    Example: tagger discover monday.txt tuesday.txt
    """
    papers, problems = output.read_pages(files, format_name, column)
    loaded = output.load_model_named(model, papers)
    facets = _facets(loaded, facet)
    found, far = _groups(loaded, facets, papers, min_papers, count)
    # The command adds the tag to the folder whose definitions were used, or else to the default.
    by_definitions = loaded.name.startswith("local/definitions-")
    labels = Path(model) if by_definitions else options.LABELS_FOLDER
    rows = {
        name: {"far_papers": far[name], "candidates": [_as_dict(one, labels) for one in some]}
        for name, some in found.items()
    }
    content = {"model": loaded.name, "papers": len(papers), "facets": rows}
    show = partial(_print_groups, found, far, len(papers), labels)
    output.finish(content, problems, as_json, show)


def _facets(model: TaggerModel, name: str | None) -> Sequence[Facet]:
    if name is not None:
        return [model.taxonomy.facet(name)]
    # Every paper has a tag of an exclusive facet, so few papers lack one.
    facets = model.taxonomy.facets
    return [facet for facet in facets if not facet.exclusive] or facets


def _groups(
    model: TaggerModel,
    facets: Sequence[Facet],
    papers: Sequence[Paper],
    min_papers: int,
    count: int,
) -> tuple[Mapping[str, Sequence[Candidate]], Mapping[str, int]]:
    """Return the groups of each facet, and the number of papers without a likely tag."""
    with output.needs_extra("train"), output.progress() as step:
        from tagger.model import default_cache
        from tagger.taxonomy import discover as find_candidates
        from tagger.taxonomy import uncovered_papers
        from tagger.training import bundled_encoder

        probabilities = model.predict(papers, partial(step, "Tagging")).probabilities
        texts = [paper.text for paper in papers]
        vectors = bundled_encoder(default_cache()).encode(texts, partial(step, "Reading papers"))
        found = {
            one.name: find_candidates(
                papers, vectors, probabilities[one.name], one, min_papers=min_papers, count=count
            )
            for one in facets
        }
    return found, {one.name: len(uncovered_papers(probabilities[one.name])) for one in facets}


def _command(candidate: Candidate, labels: Path) -> str:
    place, definition = f"{candidate.facet}/{candidate.name}", shlex.quote(candidate.definition)
    return f"tagger taxonomy add {place} --definition {definition}{options.naming(labels)}"


def _as_dict(candidate: Candidate, labels: Path) -> dict[str, object]:
    return {
        "name": candidate.name,
        "terms": candidate.terms,
        "coherence": candidate.coherence,
        "papers": output.paper_rows(candidate.papers),
        "command": _command(candidate, labels),
    }


def _print_groups(
    found: Mapping[str, Sequence[Candidate]], far: Mapping[str, int], papers: int, labels: Path
) -> None:
    for name, candidates in found.items():
        _print_candidates(name, candidates, far[name], papers, labels)


def _print_candidates(
    facet: str, candidates: Sequence[Candidate], far: int, papers: int, labels: Path
) -> None:
    counted = f"{far} of {papers} papers have no likely tag"
    if not candidates:
        output.echo(f"{facet}: nothing found. {counted}; no group of them is large and coherent.")
        return
    output.echo(f"{facet}: {counted}; groups of them:")
    for one in candidates:
        size = f"{len(one.papers)} papers, coherence {one.coherence:.2f}"
        output.echo(f"\n{', '.join(one.terms)} ({size})")
        for paper in one.papers[:3]:
            output.echo(f"  {paper.title}")
        output.echo(f"  {_command(one, labels)}")
    output.echo("\nThe commands add a tag: give it a name and a definition in your own words.")
