"""``tagger init``: begin a review of one's own."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tagger.cli import output
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tagger.papers import Paper
    from tagger.taxonomy import TaxonomyDraft


_Answer = TypeVar("_Answer")


def init(
    folder: Annotated[Path, typer.Argument(help="The label folder to make.")],
    template: Annotated[
        str | None,
        typer.Option(
            "--template", "-t", help="What to begin with: medicine, nlp, software, or empty."
        ),
    ] = None,
    facet: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DEFINITION",
            help="A facet of your own, beside those of the template; repeatable.",
        ),
    ] = None,
    exclusive: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Of this --facet a paper has exactly one tag; repeatable."
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FACET/TAG=DEFINITION", help="A tag of such a facet or another; repeatable."
        ),
    ] = None,
    digest: Annotated[
        list[Path] | None,
        typer.Option(
            "--digest", "-d", help="Pages to suggest the first papers to label from; repeatable."
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--suggest", min=1, help="How many papers to suggest.")
    ] = 10,
    format_name: output.FormatOption = None,
    column: output.ColumnOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Begin a review of your own: a taxonomy with definitions, no labels yet.

    Without a template and facets it asks for them, facet by facet. A folder that has a taxonomy is
    left as it is. Until there are labels, 'tagger tag --model FOLDER' tells tags by their
    definitions.

    Example: tagger init my-review --template medicine --digest monday.txt
    """
    from tagger.taxonomy import TAXONOMY_FILE, check_no_taxonomy, taxonomy_name, write_taxonomy

    path = folder / TAXONOMY_FILE
    check_no_taxonomy(path)
    draft = _draft(template, facet or [], exclusive or [], tag or [])
    taxonomy = draft.build(taxonomy_name(folder))
    problems: list[TaggerError] = []
    suggested: list[Paper] = []
    if digest:
        papers, problems = output.read_pages(digest, format_name, column)
        with output.needs_extra("train"), output.progress() as step:
            from tagger.model import default_cache
            from tagger.review import suggest_papers
            from tagger.training import bundled_encoder

            encoder = bundled_encoder(default_cache())
            read = partial(step, "Reading papers")
            suggested = suggest_papers(papers, (), taxonomy, encoder, count, read)
    write_taxonomy(path, taxonomy)
    # The next commands, and what each is for.
    pages = " ".join(shlex.quote(str(page)) for page in digest or [Path("page.txt")])
    here = shlex.quote(str(folder))
    labels = "" if folder == Path("labels") else f" --labels {here}"
    commands = {
        f"tagger tag {pages} --model {here}": "see what the definitions alone make of it",
        f"tagger review push {pages}{labels} --model {here} --strategy typical": "label papers "
        "in Label Studio, which 'tagger review serve' starts; 'tagger review pull' brings labels "
        "home",
        f"tagger train{labels}": "with ten labels of every facet or more",
    }
    if as_json:
        output.print_json(
            {
                "taxonomy": str(path),
                "version": taxonomy.version,
                "facets": {one.name: one.tag_names for one in taxonomy.facets},
                "papers": output.paper_rows(suggested),
                "next": list(commands),
            }
        )
    else:
        facets = ", ".join(f"{one.name} ({len(one.tags)} tags)" for one in taxonomy.facets)
        output.echo(f"Written: {path}, with {facets}. Put the definitions into your own words.")
        if suggested:
            output.echo("\nLabel these papers first, they stand for many others:")
            for paper in suggested:
                output.echo(f"  {paper.title} ({', '.join(paper.sources)})")
        output.echo("\nNext:")
        for command, purpose in commands.items():
            output.echo(f"  {command}\n      {purpose}")
    if problems:
        raise typer.Exit(2)


def _draft(
    template: str | None, facets: Sequence[str], exclusive: Sequence[str], tags: Sequence[str]
) -> TaxonomyDraft:
    from tagger.taxonomy import EMPTY_TEMPLATE, TaxonomyDraft, load_template

    if template is None and not (facets or tags or exclusive):
        if not sys.stdin.isatty():
            raise TaggerError(
                "no template and no facets are given",
                hint="Give --template, or --facet and --tag; in a terminal you will be asked",
            )
        return _ask()
    # The example of the empty template makes way for facets of one's own.
    begin = (
        None
        if template is None or (template == EMPTY_TEMPLATE and facets)
        else load_template(template)
    )
    draft = TaxonomyDraft(begin)
    own = dict(_split(given, "--facet", "NAME=DEFINITION") for given in facets)
    if len(own) < len(facets):
        raise TaggerError("--facet: a facet is given twice")
    for name in exclusive:
        if name not in own:
            raise TaggerError(f"--exclusive {name}: there is no --facet of that name")
    for name, definition in own.items():
        draft.add_facet(name, definition, exclusive=name in exclusive)
    for given in tags:
        place, definition = _split(given, "--tag", "FACET/TAG=DEFINITION")
        facet, slash, name = place.partition("/")
        if not slash:
            raise TaggerError(f"--tag {given}: the facet is missing", hint="FACET/TAG=DEFINITION")
        draft.add_tag(facet, name, definition)
    return draft


def _split(given: str, option: str, form: str) -> tuple[str, str]:
    name, _, definition = given.partition("=")
    if not definition.strip():
        raise TaggerError(f"{option} {given}: the definition is missing", hint=form)
    return name.strip(), definition.strip()


def _ask() -> TaxonomyDraft:
    """Ask for a template, or for facets and tags until an empty answer."""
    from tagger.taxonomy import TaxonomyDraft, load_template, template_names

    def template() -> TaxonomyDraft | None:
        name = _prompt(f"Template ({', '.join(template_names())})")
        return TaxonomyDraft(load_template(name)) if name else None

    def facet() -> str:
        if name := _prompt("Facet (empty to end)"):
            definition = _prompt("  What does it ask?")
            exclusive = typer.confirm("  Exactly one tag a paper?", default=False, err=True)
            draft.add_facet(name, definition, exclusive=exclusive)
        return name

    def tag() -> str:
        if name := _prompt("  Tag (empty to end)"):
            draft.add_tag(of, name, _prompt("    What does a paper with it do, or deal with?"))
        else:
            draft.check_tags_of(of)
        return name

    try:
        output.echo("Begin with a template, or leave it empty and make your own.", err=True)
        if begun := _until_right(template):
            return begun
        draft = TaxonomyDraft()
        output.echo("A facet is a question asked of every paper, such as 'design'.", err=True)
        while of := _until_right(facet):
            output.echo(f"The tags of '{of}' are its answers.", err=True)
            while _until_right(tag):
                pass
        return draft
    except typer.Abort as stop:
        # Interrupted: nothing is written yet.
        raise typer.Exit(130) from stop


def _until_right(ask: Callable[[], _Answer]) -> _Answer:
    """Ask, and ask again as long as something is wrong with the answer."""
    while True:
        try:
            return ask()
        except TaggerError as error:
            output.echo(str(error), err=True)


def _prompt(text: str) -> str:
    return str(typer.prompt(text, default="", show_default=False, err=True)).strip()
