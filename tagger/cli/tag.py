"""``tagger tag``: tag the papers of digests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tagger.cli import options, output, tag_results
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.model import ReviewRule, TaggerModel
    from tagger.papers import Paper, PaperCollection
    from tagger.tagging import Addition, Arrivals, RayEngine, TagRun

_DEFAULT_FOLDER = Path("tagged")
Files = Annotated[
    list[str],
    typer.Argument(
        help="Files with papers, or their addresses on the web: digest pages, libraries, tables, "
        "feeds, e-mails; - is standard input."
    ),
]
OutputFolder = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder for the results; by default 'tagged'.")
]
Into = Annotated[
    Path | None,
    typer.Option(
        metavar="LIBRARY",
        help="Add the papers to a library, a file that grows, instead of writing to a folder. "
        "Papers that it has are skipped.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="DATE",
        help="Leave out papers from before a day, 2026-11-03 or 7d (ago); undated ones are kept.",
    ),
]
Day = Annotated[
    datetime | None,
    typer.Option(
        "--date", formats=["%Y-%m-%d"], help="With --into: the day of the addition, not today."
    ),
]
Show = Annotated[
    int, typer.Option(min=0, help="Largest number of papers to print; the files hold all.")
]
EngineName = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Tag in this program, or with workers of Ray, for tables of any size."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="With ray: number of workers; by default one per core.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="With ray: the cluster (auto, host:port); by default only this machine.",
    ),
]
Device = Annotated[
    Literal["cpu", "cuda", "auto"],
    typer.Option(help="With ray: where texts are encoded; auto uses a GPU if there is one."),
]


def tag(
    files: Files,
    folder: OutputFolder = None,
    into: Into = None,
    since: Since = None,
    day: Day = None,
    model: options.Model = "champion",
    effort: options.Effort = "full",
    min_confidence: options.MinConfidence = 0.6,
    target_precision: options.TargetPrecision = None,
    write: options.Write = None,
    replace: options.Replace = False,
    no_abstracts: options.NoAbstracts = False,
    format_name: options.FormatName = None,
    column: options.Columns = None,
    show: Show = 25,
    engine: EngineName = "local",
    workers: Workers = None,
    cluster: Cluster = None,
    device: Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Tag every paper of one or more files: digests, libraries, tables, feeds, e-mails, web pages.

    It writes tags.jsonl, tags.csv, abstracts.jsonl, near_duplicates.jsonl and manifest.json to the
    output folder, and each BibTeX, RIS or CSL JSON file with the tags among its keywords. Papers
    that cannot be read are listed in problems.jsonl, all others are tagged, and the exit code is
    then 2. After a failure, the same command continues where it stopped. Results of other papers
    are replaced only with --replace. Files may be folders, patterns, URLs of storage, and addresses
    of the web, which are requested once.

    With --into, the papers are added to a library instead, which 'tagger report' and 'tagger
    library' read.

    With --target-precision 0.95, at least 95 in 100 accepted tags are right, with 90% certainty,
    tested on the papers of your audit sample. With --engine ray, many workers tag files of any
    size.

    Example: tagger tag monday.txt tuesday.txt --output tagged
    """
    _check_options(into, day, folder=folder, write=write, engine=engine)
    with ExitStack() as held:
        place = held.enter_context(_place(folder, into, write or [], files))
        chosen, load = held.enter_context(_engine(engine, model, place, workers, cluster, device))
        read, problems = _read(files, format_name, column, since, place, chosen)
        papers, arrivals = _to_tag(read, problems, into, place, replace=replace, as_json=as_json)
        loaded = load(papers).at_effort(effort)
        _warn_of_other_tags(model, loaded)
        rule, target = output.review_rule(loaded, min_confidence, target_precision)
        work = _Work(place, chosen, read, problems, papers, arrivals, replace)
        run, addition = work.tag(loaded, rule, write or [], day, abstracts=not no_abstracts)
        if as_json:
            met = tag_results.target_as_json(target_precision, target)
            content = tag_results.run_as_json(run, loaded.name, len(read.entries), problems)
            output.print_json(content | {"effort": effort, "target": met, "addition": addition})
        else:
            tag_results.print_tag_run(run, loaded, len(read.entries), show, addition)
    _record_drift(run, loaded.name, [file.source.name for file in read.files])
    if run.problems:
        raise typer.Exit(2)


def _check_options(into: Path | None, day: datetime | None, **others: object) -> None:
    if day and not into:
        raise TaggerError("--date needs --into")
    given = [name for name, value in others.items() if value not in (None, "local")]
    if into and given:
        names = "--output" if given[0] == "folder" else f"--{given[0]}"
        hint = "Write what the library has with 'tagger library export'"
        raise TaggerError(f"--into cannot be combined with {names}", hint=hint)


@contextmanager
def _place(
    folder: Path | None, into: Path | None, formats: Sequence[str], files: Sequence[str]
) -> Iterator[Path]:
    """Provide the folder that the run works in, after a check of what it would replace."""
    from tagger.tagging import check_output, work_on_library

    with work_on_library(into) if into else nullcontext(folder or _DEFAULT_FOLDER) as place:
        check_output(place, formats, [Path(file) for file in files])
        yield place


def _read(
    files: Sequence[str],
    format_name: str | None,
    column: list[str] | None,
    since: str | None,
    place: Path,
    engine: RayEngine | None,
) -> tuple[PaperCollection, list[TaggerError]]:
    from tagger.tagging import read_for_run

    first = output.parse_since(since)
    collect = partial(read_for_run, folder=place, engine=engine, since=first)
    return output.collect_pages(files, format_name, column, collect)


def _to_tag(
    read: PaperCollection,
    problems: Sequence[TaggerError],
    into: Path | None,
    folder: Path,
    *,
    replace: bool,
    as_json: bool,
) -> tuple[Sequence[Paper], Arrivals | None]:
    """Return the papers to tag; without any, say so and end the command."""
    from tagger.tagging import Arrivals

    if into:
        arrivals = Arrivals.at(into, read.papers)
        return arrivals.new, arrivals
    if not read.papers:
        content = {"entries": len(read.entries), "papers": 0, "output": []}
        say = partial(output.echo, "No papers, so nothing was written")
        output.finish(content, problems, as_json, say)
        raise typer.Exit
    if not replace:
        _check_no_loss(folder, read.papers)
    return read.papers, None


def _check_no_loss(folder: Path, papers: Sequence[Paper]) -> None:
    from tagger.tagging import check_no_loss

    hint = "Choose another --output, collect them --into a library, or --replace them"
    check_no_loss(folder, papers, hint)


_Loader = Callable[["Sequence[Paper]"], "TaggerModel"]


@contextmanager
def _engine(
    name: str, model: str, folder: Path, workers: int | None, cluster: str | None, device: str
) -> Iterator[tuple[RayEngine | None, _Loader]]:
    """Start the engine; return it, None for the local one, and a function that loads the model."""
    if name == "local":
        if workers or cluster or device != "cpu":
            raise TaggerError("--workers, --cluster and --device need --engine ray")
        yield None, partial(output.load_model_named, model)
        return
    from tagger._util.atomic import exclusively
    from tagger.model import default_cache, load_model
    from tagger.registry import find_model_folder
    from tagger.tagging import TAGS_FILE

    with output.needs_extra("scale"), TemporaryDirectory() as scratch:
        from tagger.tagging import RayEngine, device_of_cluster, ray_cluster

        found = find_model_folder(model, Path(scratch))
        # Two runs into one folder would mix the files that they have read.
        with ray_cluster(cluster, workers), exclusively(folder / TAGS_FILE):
            chosen = RayEngine(found.folder, workers, device_of_cluster(device))
            # With a cache, the encoder is not loaded here, where no text is encoded.
            yield chosen, lambda _papers: load_model(found.folder, found.name, default_cache())


@dataclass(frozen=True, slots=True)
class _Work:
    """The papers to tag, where they come from, and where the results go."""

    place: Path
    engine: RayEngine | None
    read: PaperCollection
    problems: Sequence[TaggerError]
    papers: Sequence[Paper]
    arrivals: Arrivals | None
    replace: bool

    def tag(
        self,
        model: TaggerModel,
        rule: ReviewRule,
        formats: Sequence[str],
        day: datetime | None,
        *,
        abstracts: bool,
    ) -> tuple[TagRun, Addition | None]:
        """Tag the papers, add them to the library if there is one, and warn of drift."""
        from tagger._util.atomic import exclusively
        from tagger.tagging import TAGS_FILE, remove_stale_libraries, tag_papers

        with exclusively(self.place / TAGS_FILE), output.progress() as step:
            if not self.replace and not self.arrivals:
                # Another run may have written results since they were checked.
                _check_no_loss(self.place, self.papers)
            run = tag_papers(
                self.papers,
                model,
                self.place,
                rule,
                read=None if self.arrivals else self.read,
                problems=self.problems,
                formats=formats,
                parts=bool(self.engine) and not formats,
                abstracts=abstracts and not self.arrivals,
                engine=self.engine,
                progress=step,
            )
        if self.replace:
            inputs = [file.source.path for file in self.read.files]
            remove_stale_libraries(self.place, [*run.files, *inputs])
        addition = None
        if self.arrivals:
            # The run knows only the new papers.
            entries = len(self.read.entries)
            rows = run.rows - len(self.papers) + entries
            run = dataclasses.replace(run, rows=rows, merged=entries - len(self.read.papers))
            on = day and day.date()
            addition = self.arrivals.add(run, model.taxonomy, on, abstracts=abstracts)
        output.warn_of_earlier_files(self.place, run.files)
        for warning in run.drift.warnings if run.drift else ():
            output.warn(f"{warning}; review some of them: tagger review push FILES")
        return run, addition


def _warn_of_other_tags(name: str, model: TaggerModel) -> None:
    """Warn if the champion has other facets or tags than the label folder of the workspace."""
    if name != "champion":
        return
    from tagger.taxonomy import TAXONOMY_FILE, load_taxonomy

    path = options.LABELS_FOLDER / TAXONOMY_FILE
    with suppress(TaggerError):  # the labels are not needed to tag
        if path.exists() and (problem := output.misfit(model, load_taxonomy(path))):
            output.warn(f"{path.parent}: {problem}. Train a version, or tag with --model labels")


def _record_drift(run: TagRun, version: str, files: Sequence[str]) -> None:
    """Record the figures of a run of a registered version, after everything else is done."""
    if not run.drift or version.startswith("local/"):
        return
    from tagger.registry import Registry, record_tag_run

    try:
        record_tag_run(Registry().store, run.drift, version, files)
    except TaggerError as error:
        output.warn(f"the papers are tagged, but MLflow did not record the run: {error}")
