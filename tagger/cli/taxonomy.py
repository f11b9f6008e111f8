"""``tagger taxonomy``: show and change the taxonomy; the labels follow."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output
from tagger.cli.review import send_rechecks
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.labels import LabelStore
    from tagger.taxonomy import Change, Taxonomy

app = typer.Typer(
    no_args_is_help=True, help="Show and change the facets and tags; your labels follow."
)

TagArgument = Annotated[str, typer.Argument(metavar="FACET/TAG", help="The tag.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Make the change without asking.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only print what would change.")]


@app.command()
def show(
    labels: options.Labels = options.LABELS_FOLDER,
    conflicts: options.Conflicts = "latest",
    as_json: options.Json = False,
) -> None:
    """Show facets, tags, definitions, and the number of labelled papers with each tag.

    A paper with a tag also counts for the parent of the tag.

    Example: tagger taxonomy show --labels labels
    """
    from tagger.labels import count_tags, papers_to_rereview

    store = _open(labels)
    merged = store.labels(conflicts)
    counts, waiting = count_tags(merged, store.taxonomy), len(papers_to_rereview(store, conflicts))
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
        command = f"tagger taxonomy rereview{options.naming(labels)}"
        output.echo(f"{waiting} papers to look at again: {command}")


@app.command()
def check(labels: options.Labels = options.LABELS_FOLDER, as_json: options.Json = False) -> None:
    """Check the taxonomy, and that every label fits it.

    Labels that do not fit are listed with file and line; the exit code is then 1. Seed labels of
    one paper that differ are listed, too.

    Example: tagger taxonomy check --labels labels
    """
    store = _open(labels)
    misfits = store.misfits()
    contradictions = [] if misfits else output.warn_of_contradictions(store.all_labels())
    if as_json:
        fields = ("path", "line", "field", "problem")
        rows = [{name: getattr(misfit, name) for name in fields} for misfit in misfits]
        found = {"misfits": rows, "contradictions": contradictions}
        output.print_json({"version": store.taxonomy.version, **found})
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
            metavar="A", help="A taxonomy file, a label folder, or a model, such as champion."
        ),
    ],
    after: Annotated[
        str | None,
        typer.Argument(metavar="B", help="The same; by default the taxonomy of the label folder."),
    ] = None,
    labels: options.Labels = options.LABELS_FOLDER,
    as_json: options.Json = False,
) -> None:
    """List the differences of two taxonomies: tags added, removed, renamed, redefined, moved.

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
    definition: Annotated[str, typer.Option(help="The definition of the tag.")],
    parent: Annotated[str | None, typer.Option(help="The tag that it implies.")] = None,
    example: Annotated[
        list[str] | None, typer.Option(help="A typical title or sentence; repeatable.")
    ] = None,
    queue: Annotated[
        bool,
        typer.Option("--queue", help="Ask again about papers that were labelled without the tag."),
    ] = False,
    labels: options.Labels = options.LABELS_FOLDER,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: options.Json = False,
) -> None:
    """Add a tag at the end of a facet.

    Labelled papers stay without the tag. With --queue they are listed for another look by 'tagger
    taxonomy rereview': all of them, or those with the parent if the tag has one.

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
    labels: options.Labels = options.LABELS_FOLDER,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: options.Json = False,
) -> None:
    """Rename a tag; its papers keep it.

    Example: tagger taxonomy rename domain/medical medicine
    """
    from tagger.taxonomy import rename_tag

    facet, name = _place(tag)
    _change(labels, partial(rename_tag, facet=facet, tag=name, into=new), yes, dry_run, as_json)


@app.command()
def merge(
    tags: Annotated[
        list[str], typer.Argument(metavar="FACET/TAG", help="The tags, all of one facet.")
    ],
    into: Annotated[
        str,
        typer.Option(
            help="The resulting tag: one of them, another tag of the facet, or a new name."
        ),
    ],
    definition: Annotated[
        str | None, typer.Option(help="The definition of the resulting tag.")
    ] = None,
    labels: options.Labels = options.LABELS_FOLDER,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: options.Json = False,
) -> None:
    """Merge several tags of a facet; papers with any of them have the resulting tag.

    Example: tagger taxonomy merge domain/vision domain/speech --into vision
    """
    from tagger.taxonomy import merge_tags

    places = [_place(tag) for tag in tags]
    facets = list(dict.fromkeys(facet for facet, _ in places))
    if len(facets) > 1:
        raise TaggerError(
            f"the tags are of several facets and cannot be merged: {', '.join(facets)}"
        )
    names = [name for _, name in places]
    change = partial(merge_tags, facet=facets[0], tags=names, into=into, definition=definition)
    _change(labels, change, yes, dry_run, as_json)


@app.command()
def split(
    tag: TagArgument,
    new: Annotated[list[str] | None, typer.Argument(help="Further new tags.")] = None,
    into: Annotated[list[str] | None, typer.Option(help="A new tag; repeatable.")] = None,
    definition: Annotated[
        list[str] | None,
        typer.Option(metavar="NEW=TEXT", help="The definition of a new tag; repeatable."),
    ] = None,
    labels: options.Labels = options.LABELS_FOLDER,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: options.Json = False,
) -> None:
    """Add new tags below a tag. The tag stays, and its papers must be looked at again.

    'tagger taxonomy rereview --push' sends these papers to Label Studio.

    Example: tagger taxonomy split domain/science --into physics chemistry --definition
    physics="Matter." --definition chemistry="Substances."
    """
    from tagger.taxonomy import split_tag

    facet, name = _place(tag)
    meanings = {}
    for text in definition or []:
        key, sign, meaning = text.partition("=")
        if not sign:
            raise TaggerError(f"--definition: expected NEW=TEXT, got '{text}'")
        meanings[key.strip()] = meaning
    names = [*(into or ()), *(new or ())]
    if odd := set(names) ^ set(meanings):
        raise TaggerError(
            f"new tags and definitions do not match: '{min(odd)}'",
            hint="Give --definition NAME=TEXT once for each new tag",
        )
    change = partial(split_tag, facet=facet, tag=name, definitions={n: meanings[n] for n in names})
    _change(labels, change, yes, dry_run, as_json)


@app.command()
def retire(
    tag: TagArgument,
    into: Annotated[str | None, typer.Option(help="The tag that its papers get instead.")] = None,
    labels: options.Labels = options.LABELS_FOLDER,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: options.Json = False,
) -> None:
    """Remove a tag. Models that are trained afterwards do not assign it.

    Its papers get the tag of --into, or else lose the tag. In an exclusive facet, papers that lose
    it count as not annotated and must be looked at again: tagger taxonomy rereview.

    Example: tagger taxonomy retire domain/math --into science
    """
    from tagger.taxonomy import retire_tag

    facet, name = _place(tag)
    _change(labels, partial(retire_tag, facet=facet, tag=name, into=into), yes, dry_run, as_json)


@app.command()
def rereview(
    labels: options.Labels = options.LABELS_FOLDER,
    conflicts: options.Conflicts = "latest",
    push: Annotated[bool, typer.Option("--push", help="Send the papers to Label Studio.")] = False,
    model: options.Model = "champion",
    project: options.Project = None,
    folder: options.ServerFolder = None,
    as_json: options.Json = False,
) -> None:
    """List labelled papers that must be looked at again after a change of the taxonomy.

    These are papers of a tag that was split, papers that lost their tag in an exclusive facet, and
    papers that may need a tag that was added with --queue. A paper is listed until somebody has
    answered again. With --push the papers go to Label Studio, and 'tagger review pull' brings the
    answers home. Without --push the exit code is 1 if there are any.

    Example: tagger taxonomy rereview --push
    """
    from tagger.labels import papers_to_rereview

    store = output.read_store(labels)
    found = papers_to_rereview(store, conflicts)
    sent = 0
    if push and found:
        from tagger.review import Recheck

        loaded = output.load_model_for(store, model, [one.paper for one in found])
        rechecks = {one.paper: Recheck(one.reason, tuple(one.questions)) for one in found}
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
            output.echo("To send them to Label Studio, add --push to this command")
    if found and not push:
        raise typer.Exit(1)


def _open(labels: Path) -> LabelStore:
    from tagger.labels import LabelStore

    return LabelStore(labels)


def _place(tag: str) -> tuple[str, str]:
    facet, sign, name = tag.partition("/")
    if not sign:
        raise TaggerError(f"expected FACET/TAG, got '{tag}'", hint="For example domain/medical")
    return facet, name


def _named(name: str) -> Taxonomy:
    """Return the taxonomy of a file, a label folder or a model."""
    from tagger.taxonomy import TAXONOMY_FILE, load_taxonomy

    path = Path(name)
    if path.is_file() or path.suffix in (".yaml", ".yml"):
        return load_taxonomy(path)
    is_labels = (path / TAXONOMY_FILE).is_file()
    return _open(path).taxonomy if is_labels else output.load_model_named(name).taxonomy


def _change(labels: Path, change: Change, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Print what a change does, ask, and make the change."""
    from tagger.labels import apply_change, plan_change

    store, where = _open(labels), options.naming(labels)
    plan = plan_change(store, change)
    if not as_json:
        for line in plan.changes:
            output.echo(line)
        output.echo(f"{plan.from_version} becomes {plan.to_version}")
        output.echo(f"the tags of {plan.labels_changed} of {plan.labels} labels in {labels} change")
        if plan.papers_unannotated:
            output.echo(f"{plan.papers_unannotated} papers count as not annotated in the facet")
        if plan.papers_to_review:
            command = f"tagger taxonomy rereview{where}"
            output.echo(f"{plan.papers_to_review} papers to look at again: {command}")
        if plan.becomes_tree is not None:
            form = "gets its first parent tag" if plan.becomes_tree else "loses its last parent tag"
            advice = "pull them first, then continue in a new project (--project TITLE)"
            output.echo(f"the facet {form}: if Label Studio has answers, {advice}")
    if not dry_run and not yes:
        if as_json or not sys.stdin.isatty():
            raise TaggerError(
                "nothing was changed, because the question cannot be asked here",
                hint="--yes makes the change without asking, --dry-run only prints it",
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
        output.echo("Existing models were trained for the previous taxonomy.")
        output.echo(f"Next: tagger train{where}")
