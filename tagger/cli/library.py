"""``tagger library``: search, export and retag what was collected with ``tag --into``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output

if TYPE_CHECKING:
    from tagger.report import LibraryEntry
    from tagger.taxonomy import Taxonomy

app = typer.Typer(no_args_is_help=True, help="Search, export and retag the papers of a library.")

File = Annotated[Path, typer.Argument(metavar="LIBRARY", help="The file of the library.")]
Words = Annotated[
    list[str] | None,
    typer.Argument(help="Words to find in title and abstract; '\"a phrase\"' in double quotes."),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Only papers added since a day, 2026-11-03 or 7d (ago)."),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="FACET/TAG", help="Only papers with this tag; repeatable."),
]
Waiting = Annotated[bool, typer.Option("--waiting", help="Only papers that wait for review.")]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")]
Title = Annotated[str, typer.Argument(help="Part of a title, or the id of a paper.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change; keep the tags.")]
Show = Annotated[int, typer.Option(min=0, help="Largest number of papers to print.")]


@app.command()
def search(
    file: File,
    words: Words = None,
    tag: Tags = None,
    since: Since = None,
    waiting: Waiting = False,
    labels: options.ReviewedLabels = None,
    show: Show = 25,
    as_json: options.Json = False,
) -> None:
    """Find papers by words, tags, the day on which they were added, or papers to review.

    The best matches come first. Tags are those of the reviewers where they answered.

    Example: tagger library search library long context --tag contribution/survey
    """
    found = _entries(file, labels, words, since, tag, waiting=waiting)[0]
    if as_json:
        output.print_json({"papers": [one.as_row() for one in found]})
        return
    for one in found[:show]:
        _print_entry(one)
    more = f", of them shown: {show}" if len(found) > show else ""
    output.echo(f"papers: {len(found)}{more}")


@app.command()
def show(
    file: File, title: Title, labels: options.ReviewedLabels = None, as_json: options.Json = False
) -> None:
    """Show everything about the papers with a title: confidences, sources, model, day.

    Example: tagger library show library "a part of its title"
    """
    found = [
        one
        for one in _entries(file, labels)[0]
        if title.casefold() in one.tagged.title.casefold() or title == one.tagged.id
    ]
    if as_json:
        output.print_json({"papers": [one.as_row() for one in found]})
        return
    for one in found:
        _print_entry(one)
        for facet, confidences in one.tagged.confidence.items():
            numbers = ", ".join(f"{name} {number:.2f}" for name, number in confidences.items())
            output.echo(f"  confidences, {facet}: {numbers}")
        sources = ", ".join(one.tagged.sources)
        output.echo(f"  {one.tagged.id}, from {sources}, by {one.tagged.model}")
    output.echo(f"papers: {len(found)}")


@app.command()
def export(
    file: File,
    folder: OutputFolder,
    words: Words = None,
    tag: Tags = None,
    since: Since = None,
    waiting: Waiting = False,
    write: options.Write = None,
    replace: options.Replace = False,
    no_abstracts: options.NoAbstracts = False,
    labels: options.ReviewedLabels = None,
) -> None:
    """Write papers to a folder, as tags.jsonl, tags.csv, abstracts.jsonl and other formats.

    Tags are those of the reviewers where they answered. Entries that they marked as not a paper are
    left out. Without words and options all papers are written.

    Example: tagger library export library --output surveys --tag contribution/survey
    """
    from tagger._util.atomic import exclusively
    from tagger.tagging import (
        ABSTRACTS_FILE,
        TAGS_FILE,
        check_no_loss,
        check_output,
        write_abstracts,
    )

    writers = check_output(folder, write or [], [file])
    found, taxonomy = _entries(file, labels, words, since, tag, waiting=waiting)
    found = [one for one in found if one.paper.status != "not a paper"]
    papers = [one.tagged for one in found]
    with exclusively(folder / TAGS_FILE), output.working("Writing results"):
        if not replace:
            hint = "Choose another --output, or --replace them"
            check_no_loss(folder, [one.paper for one in papers], hint)
        kept = () if no_abstracts else (one.with_abstract for one in found)
        # First tags.jsonl, by which the folder is known as one of tagger; notes contain abstracts.
        first, *others = writers
        first.write(papers, taxonomy, folder / first.target)
        files = [ABSTRACTS_FILE] * write_abstracts(folder, kept)
        for writer in others:
            writer.write(papers, taxonomy, folder / writer.target)
    files += [writer.target for writer in writers]
    written = ", ".join(str(folder / name) for name in files)
    output.warn_of_earlier_files(folder, [folder / name for name in files])
    output.echo(f"{len(papers)} papers. Written: {written}")


@app.command()
def retag(
    file: File,
    model: options.Model = "champion",
    effort: options.Effort = "full",
    min_confidence: options.MinConfidence = 0.6,
    target_precision: options.TargetPrecision = None,
    texts: options.Texts = None,
    dry_run: DryRun = False,
    show: Show = 25,
    as_json: options.Json = False,
) -> None:
    """Tag the papers that another model has tagged, and print what changes.

    Ids, days and the answers of reviewers stay. If abstracts are not kept in the library, --texts
    names files that have them. The exit code is 1 if papers keep their tags because their
    abstracts are missing.

    Example: tagger library retag library --dry-run
    """
    from tagger.tagging import retag_library

    given = output.read_texts(texts or [])
    loaded = output.load_model_named(model).at_effort(effort)
    rule, _ = output.review_rule(loaded, min_confidence, target_precision)
    with output.progress() as step:
        done = retag_library(file, loaded, rule, given, keep=not dry_run, progress=step)
    changes = [
        (one.title, gained, lost)
        for one, other in zip(done.before, done.after, strict=True)
        # A tag that was renamed since is neither lost nor gained.
        for earlier, now in [(_names(loaded.taxonomy.read(one.tags)), _names(other.tags))]
        for gained, lost in [(now - earlier, earlier - now)]
        if gained or lost
    ]
    gains, losses = Counter[str](), Counter[str]()
    for _, gained, lost in changes:
        gains.update(gained)
        losses.update(lost)
    if as_json:
        rows = [
            {"title": title, "gained": sorted(gained), "lost": sorted(lost)}
            for title, gained, lost in changes
        ]
        content = {"model": loaded.name, "papers": len(done.after), "changes": rows}
        more = {"gained": gains, "lost": losses, "without_text": done.without_text}
        output.print_json(content | more)
    else:
        for title, gained, lost in changes[:show]:
            signs = [f"+{name}" for name in sorted(gained)] + [f"-{name}" for name in sorted(lost)]
            output.echo(f"{title}: {', '.join(signs)}")
        for name in sorted(gains | losses):
            output.echo(f"{name}: {gains[name]} gained, {losses[name]} lost")
        would = "would change" if dry_run else "changed"
        output.echo(f"{len(done.after)} papers tagged by {loaded.name}; {len(changes)} {would}")
    if done.without_text:
        output.warn(f"{done.without_text} papers keep their tags: give their texts with --texts")
        raise typer.Exit(1)


def _entries(
    file: Path,
    labels: Path | None,
    words: list[str] | None = None,
    since: str | None = None,
    tags: list[str] | None = None,
    *,
    waiting: bool = False,
) -> tuple[list[LibraryEntry], Taxonomy]:
    from tagger.report import library_entries

    return library_entries(
        file,
        labels,
        words=" ".join(words or ()),
        since=output.parse_since(since) or date.min,
        tags=tags or (),
        waiting=waiting,
    )


def _names(tags: Mapping[str, Iterable[str]]) -> set[str]:
    return {f"{facet}/{tag}" for facet, names in tags.items() for tag in names}


def _print_entry(one: LibraryEntry) -> None:
    tags = [f"{facet}: {', '.join(names)}" for facet, names in one.tagged.tags.items() if names]
    status: str = one.paper.status
    if one.tagged.review:
        status = f"to review: {one.tagged.review.reason}"
    output.echo(f"{one.added}  {one.tagged.title}\n  {'; '.join(tags) or 'no tags'} ({status})")
