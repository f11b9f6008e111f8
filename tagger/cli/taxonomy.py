"""``tagger taxonomy``: change what papers are tagged with, and take the labels along."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import output
from tagger.cli.review import send_rechecks
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.labels import LabelStore
    from tagger.taxonomy import Change, Taxonomy

app = typer.Typer(
    no_args_is_help=True, help="Change what papers are tagged with; the labels come along."
)

TagArgument = Annotated[str, typer.Argument(metavar="FACET/TAG", help="The tag.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
]


@app.command()
def show(
    labels: output.LabelsOption = Path("labels"),
    conflicts: output.ConflictsOption = "latest",
    as_json: output.JsonOption = False,
) -> None:
    """Show facets, tags and definitions, and how many papers have each tag.

    A paper with a tag counts for the tag's parent as well.

    Example: tagger taxonomy show --labels labels
    """
    from tagger.labels import count_tags, papers_to_rereview

    store = _open(labels)
    merged = store.labels(conflicts)
    counts = count_tags(merged, store.taxonomy)
    waiting = len(papers_to_rereview(store, conflicts))
    if as_json:
        content = store.taxonomy.model_dump()
        for facet in content["facets"]:
            for tag in facet["tags"]:
                tag["papers"] = counts[facet["name"]][tag["name"]]
        counted = {"papers": len(merged), "papers_to_rereview": waiting}
        facets = {"facets": content["facets"]}
        output.print_json({"version": store.taxonomy.version, **counted, **facets})
        return
    from rich.text import Text
    from rich.tree import Tree

    from tagger.cli.console import Console

    root = Tree(Text(store.taxonomy.name))
    for facet in store.taxonomy.facets:
        form = "exactly one" if facet.exclusive else "none, one or several"
        branch = root.add(Text(f"{facet.name} ({form}): {facet.definition}"))
        nodes: dict[str | None, Tree] = {None: branch}
        for tag in sorted(facet.tags, key=lambda tag: len(facet.ancestors(tag.name))):
            papers = counts[facet.name][tag.name]
            count = len(tag.examples)
            typical = f" ({count} example{'s' * (count > 1)})" if count else ""
            line = Text.assemble((tag.name, "bold"), f" {papers}: {tag.hint}{typical}")
            nodes[tag.name] = nodes[tag.parent].add(line)
    Console(highlight=False).print(root)
    output.echo(f"{store.taxonomy.version}, {len(merged)} labelled papers")
    if waiting:
        output.echo(f"{waiting} papers to look at again: tagger taxonomy rereview")


@app.command()
def check(labels: output.LabelsOption = Path("labels"), as_json: output.JsonOption = False) -> None:
    """Check the taxonomy, and that every label fits it.

    The exit code is 1 if labels do not fit; each is named, with file and line.

    Example: tagger taxonomy check --labels labels
    """
    store = _open(labels)
    misfits = store.misfits()
    if as_json:
        fields = ("path", "line", "field", "problem")
        rows = [{name: getattr(misfit, name) for name in fields} for misfit in misfits]
        output.print_json({"version": store.taxonomy.version, "misfits": rows})
    else:
        for misfit in misfits:
            output.complain(misfit)
        fit = "all labels fit" if not misfits else f"{len(misfits)} labels do not fit"
        output.echo(f"{store.taxonomy.version}: {fit}")
    if misfits:
        raise typer.Exit(1)


@app.command()
def diff(
    before: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A taxonomy file, a label folder, or a model such as champion."
        ),
    ],
    after: Annotated[
        str | None,
        typer.Argument(metavar="B", help="Likewise; by default the taxonomy of the labels."),
    ] = None,
    labels: output.LabelsOption = Path("labels"),
    as_json: output.JsonOption = False,
) -> None:
    """Say in what two taxonomies differ: tags added, removed, renamed, redefined, moved.

    Example: tagger taxonomy diff champion
    """
    from tagger.taxonomy import compare_taxonomies

    old = _named(before)
    new = _open(labels).taxonomy if after is None else _named(after)
    differences = compare_taxonomies(old, new)
    if as_json:
        rows = [asdict(one) for one in differences]
        output.print_json({"before": old.version, "after": new.version, "differences": rows})
        return
    for difference in differences:
        output.echo(difference.describe())
    output.echo(f"{old.version} -> {new.version}: {len(differences)} differences")


@app.command()
def add(
    tag: TagArgument,
    definition: Annotated[str, typer.Option(help="What the tag means.")],
    parent: Annotated[str | None, typer.Option(help="The tag that it implies.")] = None,
    example: Annotated[
        list[str] | None, typer.Option(help="A title or sentence typical of it; repeat it.")
    ] = None,
    queue: Annotated[
        bool, typer.Option("--queue", help="Ask again about papers that were labelled without it.")
    ] = False,
    labels: output.LabelsOption = Path("labels"),
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: output.JsonOption = False,
) -> None:
    """Add a tag at the end of a facet.

    Papers that are labelled already stay as they are: without the tag. With --queue they are to be
    looked at again, those with the parent if there is one: tagger taxonomy rereview.

    Example: tagger taxonomy add domain/law-of-the-sea --definition "Ships." --parent legal
    """
    from tagger.taxonomy import add_tag

    facet, name = _place(tag)
    change = partial(add_tag, facet=facet, tag=name, definition=definition, parent=parent)
    _change(labels, partial(change, examples=example or (), queue=queue), yes, dry_run, as_json)


@app.command()
def rename(
    tag: TagArgument,
    new: Annotated[str, typer.Argument(help="The new name.")],
    labels: output.LabelsOption = Path("labels"),
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: output.JsonOption = False,
) -> None:
    """Give a tag another name; its papers keep it.

    Example: tagger taxonomy rename domain/medical medicine
    """
    from tagger.taxonomy import rename_tag

    facet, name = _place(tag)
    _change(labels, partial(rename_tag, facet=facet, tag=name, into=new), yes, dry_run, as_json)


@app.command()
def merge(
    tags: Annotated[list[str], typer.Argument(metavar="FACET/TAG", help="Tags of one facet.")],
    into: Annotated[
        str, typer.Option(help="Name of the one tag: one of them, another of the facet, or new.")
    ],
    definition: Annotated[str | None, typer.Option(help="What it means now.")] = None,
    labels: output.LabelsOption = Path("labels"),
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: output.JsonOption = False,
) -> None:
    """Make several tags of a facet one; papers with any of them have it.

    Example: tagger taxonomy merge domain/vision domain/speech --into vision
    """
    from tagger.taxonomy import merge_tags

    places = [_place(tag) for tag in tags]
    facets = list(dict.fromkeys(facet for facet, _ in places))
    if len(facets) > 1:
        raise TaggerError(f"tags of two facets cannot be merged: {', '.join(facets)}")
    names = [name for _, name in places]
    change = partial(merge_tags, facet=facets[0], tags=names, into=into, definition=definition)
    _change(labels, change, yes, dry_run, as_json)


@app.command()
def split(
    tag: TagArgument,
    new: Annotated[list[str] | None, typer.Argument(help="More of the new tags.")] = None,
    into: Annotated[list[str] | None, typer.Option(help="A new tag; give several.")] = None,
    definition: Annotated[
        list[str] | None, typer.Option(metavar="NEW=TEXT", help="What a new tag means.")
    ] = None,
    labels: output.LabelsOption = Path("labels"),
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: output.JsonOption = False,
) -> None:
    """Put new tags below a tag. The tag stays, and its papers are to be looked at again.

    To send them to Label Studio: tagger taxonomy rereview --push

    Example: tagger taxonomy split domain/science --into physics chemistry --definition
    physics="Matter." --definition chemistry="Substances."
    """
    from tagger.taxonomy import split_tag

    facet, name = _place(tag)
    meanings = {}
    for text in definition or []:
        key, sign, meaning = text.partition("=")
        if not sign:
            raise TaggerError(f"'{text}' is no definition", hint="Write NEW=TEXT")
        meanings[key.strip()] = meaning
    names = [*(into or ()), *(new or ())]
    if odd := set(names) ^ set(meanings):
        raise TaggerError(
            f"each new tag needs one definition, and nothing else does: see '{min(odd)}'",
            hint="Give --definition NAME=TEXT once for each",
        )
    definitions = {name: meanings[name] for name in names}
    change = partial(split_tag, facet=facet, tag=name, definitions=definitions)
    _change(labels, change, yes, dry_run, as_json)


@app.command()
def retire(
    tag: TagArgument,
    into: Annotated[str | None, typer.Option(help="The tag that its papers get instead.")] = None,
    labels: output.LabelsOption = Path("labels"),
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: output.JsonOption = False,
) -> None:
    """Take a tag away: no model trained from then on can give it.

    Papers lose it. In an exclusive facet they are no longer judged then, and are to be looked at
    again: tagger taxonomy rereview.

    Example: tagger taxonomy retire domain/math --into science
    """
    from tagger.taxonomy import retire_tag

    facet, name = _place(tag)
    _change(labels, partial(retire_tag, facet=facet, tag=name, into=into), yes, dry_run, as_json)


@app.command()
def rereview(
    labels: output.LabelsOption = Path("labels"),
    conflicts: output.ConflictsOption = "latest",
    push: Annotated[bool, typer.Option("--push", help="Send them to Label Studio.")] = False,
    model: output.ModelOption = "champion",
    project: output.ProjectOption = None,
    folder: output.FolderOption = output.LABEL_STUDIO_FOLDER,
    as_json: output.JsonOption = False,
) -> None:
    """List labelled papers that a change of the taxonomy calls in question.

    They are those of a tag that was split, of a tag of an exclusive facet that was retired, and
    those that may need a tag added with --queue, until somebody has answered again. With --push
    they go to Label Studio, and come back with 'tagger review pull'. The exit code is 1 if there
    are any that were not sent.

    Example: tagger taxonomy rereview --push
    """
    from tagger.labels import papers_to_rereview

    store = _open(labels)
    store.all_labels()
    found = papers_to_rereview(store, conflicts)
    sent = 0
    if push and found:
        loaded = output.load_model_for(store, model, [one.paper for one in found])
        rechecks = {one.paper: one.reason for one in found}
        sent = send_rechecks(rechecks, loaded, store, project, folder)
    if as_json:
        rows = []
        for one in found:
            asked = {"facets": list(one.questions), "reason": one.reason}
            rows.append({"id": one.paper.id, "title": one.paper.title, **asked})
        output.print_json({"papers": rows, "pushed": sent})
    else:
        for one in found:
            output.echo(f"{one.paper.title}: {'; '.join(one.questions.values())}")
        output.echo(f"{len(found)} papers to look at again")
        if push:
            output.echo(f"{sent} papers sent to Label Studio; the others have a task there already")
        elif found:
            output.echo("To send them to Label Studio: tagger taxonomy rereview --push")
    if found and not push:
        raise typer.Exit(1)


def _open(labels: Path) -> LabelStore:
    from tagger.labels import LabelStore

    return LabelStore(labels)


def _place(tag: str) -> tuple[str, str]:
    facet, sign, name = tag.partition("/")
    if not sign:
        raise TaggerError(f"'{tag}' names no tag", hint="Write FACET/TAG, as in domain/medical")
    return facet, name


def _named(name: str) -> Taxonomy:
    """Return the taxonomy that a person named: by file, folder or model."""
    from tagger.taxonomy import TAXONOMY_FILE, load_taxonomy

    path = Path(name)
    if path.is_file() or path.suffix in (".yaml", ".yml"):
        return load_taxonomy(path)
    is_labels = (path / TAXONOMY_FILE).is_file()
    return _open(path).taxonomy if is_labels else output.load_model_named(name).taxonomy


def _change(labels: Path, change: Change, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Say what a change does, ask, and make it."""
    from tagger.labels import apply_change, plan_change

    store = _open(labels)
    plan = plan_change(store, change)
    if not as_json:
        for line in plan.changes:
            output.echo(line)
        output.echo(f"{plan.from_version} becomes {plan.to_version}")
        output.echo(f"{plan.labels_changed} of {plan.labels} labels in {labels} read differently")
        if plan.papers_unannotated:
            output.echo(f"{plan.papers_unannotated} papers lose their annotation in the facet")
        if plan.papers_to_review:
            output.echo(
                f"{plan.papers_to_review} papers to look at again: tagger taxonomy rereview"
            )
        if plan.becomes_tree is not None:
            form = "becomes a tree" if plan.becomes_tree else "is a tree no longer"
            advice = "pull them first and go on in a new project (--project TITLE)"
            output.echo(f"the facet {form}: if Label Studio has answers, {advice}")
    if not dry_run and not yes:
        if as_json or not sys.stdin.isatty():
            raise TaggerError(
                "nothing was changed: nobody can be asked here",
                hint="--yes does it without asking, --dry-run only says what would change",
            )
        if not typer.confirm("Change the taxonomy?"):
            output.echo("Nothing was changed.")
            raise typer.Exit(1)
    if not dry_run:
        apply_change(store, change)
    if as_json:
        output.print_json({**asdict(plan), "done": not dry_run})
    elif dry_run:
        output.echo("Nothing was changed.")
    else:
        output.echo(f"Done: the taxonomy is {plan.to_version}")
        output.echo("The models so far were trained for the one before; next: tagger train")
