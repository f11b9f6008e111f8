"""``tagger init``: begin a review with a taxonomy of one's own."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tagger.cli import options, output
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tagger.papers import Paper
    from tagger.taxonomy import Taxonomy, TaxonomyDraft

_Answer = TypeVar("_Answer")

Folder = Annotated[Path, typer.Argument(help="The label folder to make.")]
Template = Annotated[
    str | None,
    typer.Option(
        "--template",
        "-t",
        help="The template: medicine, nlp, software, empty, or shipped: the tags of the model that "
        "ships with tagger.",
    ),
]
Facets = Annotated[
    list[str] | None,
    typer.Option(
        "--facet",
        metavar="NAME=DEFINITION",
        help="A facet of your own, in addition to those of the template; repeatable.",
    ),
]
Exclusive = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A paper has exactly one tag of this --facet; repeatable."),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="FACET/TAG=DEFINITION",
        help="A tag of your own facet or of one of the template; repeatable.",
    ),
]
Count = Annotated[
    int, typer.Option("--suggest", min=1, help="Number of papers of --digest to suggest.")
]


def init(
    folder: Folder,
    template: Template = None,
    facet: Facets = None,
    exclusive: Exclusive = None,
    tag: Tags = None,
    digest: options.Digests = None,
    count: Count = 10,
    format_name: options.FormatName = None,
    column: options.Columns = None,
    as_json: options.Json = False,
) -> None:
    """Begin a review of your own: write a taxonomy, from a template or from options.

    Without --template and --facet it asks for facets and tags. A folder that already has a taxonomy
    is not changed. With --digest it suggests which papers to label first. Before there are labels,
    'tagger tag --model FOLDER' assigns tags by their definitions.

    Example: tagger init my-review --template medicine --digest monday.txt
    """
    from tagger.taxonomy import TAXONOMY_FILE, check_no_taxonomy, taxonomy_name, write_taxonomy

    path = folder / TAXONOMY_FILE
    check_no_taxonomy(path)
    draft = _draft(template, facet or [], exclusive or [], tag or [])
    taxonomy = draft.build(taxonomy_name(folder))
    papers, problems = output.read_pages(digest, format_name, column) if digest else ([], [])
    suggested = _suggest(papers, taxonomy, count) if digest else []
    write_taxonomy(path, taxonomy)
    # The model that ships does not know a further tag.
    shipped = template == "shipped" and not tag
    commands = _next_commands(folder, digest or [Path("page.txt")], shipped=shipped)
    content = {
        "taxonomy": str(path),
        "version": taxonomy.version,
        "facets": {one.name: one.tag_names for one in taxonomy.facets},
        "papers": output.paper_rows(suggested),
        "next": list(commands),
    }
    show = partial(_print_begun, path, taxonomy, suggested, commands)
    output.finish(content, problems, as_json, show)


def _print_begun(
    path: Path, taxonomy: Taxonomy, suggested: Sequence[Paper], commands: Mapping[str, str]
) -> None:
    facets = ", ".join(f"{one.name} ({len(one.tags)} tags)" for one in taxonomy.facets)
    output.echo(f"Written: {path}, with {facets}. Put the definitions into your own words.")
    if suggested:
        output.echo("\nLabel these papers first; each is similar to many others:")
        for paper in suggested:
            output.echo(f"  {paper.title} ({', '.join(paper.sources)})")
    output.echo("\nNext:")
    for command, purpose in commands.items():
        output.echo(f"  {command}\n      {purpose}")


def _suggest(papers: Sequence[Paper], taxonomy: Taxonomy, count: int) -> list[Paper]:
    with output.needs_extra("train"), output.progress() as step:
        from tagger.model import default_cache
        from tagger.review import suggest_papers
        from tagger.training import bundled_encoder

        encoder = bundled_encoder(default_cache())
        return suggest_papers(papers, (), taxonomy, encoder, count, partial(step, "Reading papers"))


def _next_commands(folder: Path, digests: Sequence[Path], *, shipped: bool) -> dict[str, str]:
    """Return the commands to continue with, and the purpose of each."""
    pages = " ".join(shlex.quote(str(page)) for page in digests)
    here = shlex.quote(str(folder))
    labels = options.naming(folder)
    if shipped:
        return {
            f"tagger tag {pages}": "tags papers with the model that ships with tagger",
            f"tagger review here {pages}{labels}": "shows the doubtful ones, for you to correct",
            f"tagger train --heads-only{labels}": "updates the model with your corrections",
        }
    chosen = f"{pages}{labels} --model {here} --strategy typical"
    return {
        f"tagger tag {pages} --model {here}": "tags papers by the definitions alone",
        f"tagger review here {chosen}": "shows typical papers, for you to label in the browser",
        f"tagger train{labels}": "trains, with ten labels of every facet or more",
    }


def _draft(
    template: str | None, facets: Sequence[str], exclusive: Sequence[str], tags: Sequence[str]
) -> TaxonomyDraft:
    from tagger.taxonomy import EMPTY_TEMPLATE, TaxonomyDraft

    if template is None and not (facets or tags or exclusive):
        if not sys.stdin.isatty():
            raise TaggerError(
                "no template and no facets given",
                hint="Give --template, or --facet and --tag; in a terminal you are asked for them",
            )
        return _ask()
    # Own facets replace the example of the empty template.
    replaced = template == EMPTY_TEMPLATE and facets
    draft = TaxonomyDraft(None if template is None or replaced else _template(template))
    own = dict(_split(given, "--facet", "NAME=DEFINITION") for given in facets)
    if len(own) < len(facets):
        raise TaggerError("--facet: the same facet is given twice")
    for name in exclusive:
        if name not in own:
            raise TaggerError(f"--exclusive {name}: no --facet has this name")
    for name, definition in own.items():
        draft.add_facet(name, definition, exclusive=name in exclusive)
    for given in tags:
        place, definition = _split(given, "--tag", "FACET/TAG=DEFINITION")
        facet, slash, name = place.partition("/")
        if not slash:
            problem = f"--tag {given}: the facet is missing"
            raise TaggerError(problem, hint="Write FACET/TAG=DEFINITION")
        draft.add_tag(facet, name, definition)
    return draft


def _template(name: str) -> Taxonomy:
    from tagger.registry import SHIPPED, find_shipped_model, load_model_by_name
    from tagger.taxonomy import load_template, template_names

    if name == SHIPPED:
        return load_model_by_name(find_shipped_model().folder).taxonomy
    if name not in template_names():
        known = ", ".join((*template_names(), SHIPPED))
        raise TaggerError(f"unknown template '{name}'. Known: {known}")
    return load_template(name)


def _split(given: str, option: str, form: str) -> tuple[str, str]:
    name, _, definition = given.partition("=")
    if not definition.strip():
        raise TaggerError(f"{option} {given}: the definition is missing", hint=f"Write {form}")
    return name.strip(), definition.strip()


def _ask() -> TaxonomyDraft:
    """Ask for a template, or for facets and tags until an empty answer."""
    from tagger.registry import SHIPPED
    from tagger.taxonomy import TaxonomyDraft, template_names

    def template() -> TaxonomyDraft | None:
        name = _prompt(f"Template ({', '.join((*template_names(), SHIPPED))})")
        return TaxonomyDraft(_template(name)) if name else None

    def facet() -> str:
        if name := _prompt("Facet (empty to end)"):
            definition = _prompt("  Which question does it ask of a paper?")
            exclusive = typer.confirm("  Exactly one tag for each paper?", default=False, err=True)
            draft.add_facet(name, definition, exclusive=exclusive)
        return name

    def tag() -> str:
        if name := _prompt("  Tag (empty to end)"):
            draft.add_tag(
                of, name, _prompt("    Definition: what do papers with this tag have in common?")
            )
        else:
            draft.check_tags_of(of)
        return name

    try:
        output.echo("Choose a template, or leave this empty to write your own facets.", err=True)
        if begun := _until_right(template):
            return begun
        draft = TaxonomyDraft()
        output.echo("A facet is a question asked of every paper, such as 'design'.", err=True)
        while of := _until_right(facet):
            output.echo(f"The tags of '{of}' are the possible answers.", err=True)
            while _until_right(tag):
                pass
        return draft
    except typer.Abort as stop:
        # Interrupted; nothing has been written.
        raise typer.Exit(130) from stop


def _until_right(ask: Callable[[], _Answer]) -> _Answer:
    """Ask until the answer is valid."""
    while True:
        try:
            return ask()
        except TaggerError as error:
            output.echo(str(error), err=True)


def _prompt(text: str) -> str:
    return str(typer.prompt(text, default="", show_default=False, err=True)).strip()
