"""Write tagged papers to files, one module a format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tagger.atomic import replacing, replacing_bytes, replacing_folder
from tagger.errors import TaggerError, missing_package
from tagger.tagged_paper import TaggedPaper
from tagger.taxonomy import Taxonomy
from tagger.writers.csv import write_csv
from tagger.writers.dataset import write_dataset
from tagger.writers.excel import write_excel
from tagger.writers.jsonl import write_jsonl
from tagger.writers.parquet import write_parquet

__all__ = ["TAGS_FILE", "WRITERS", "Writer", "choose_writers"]

TAGS_FILE = "tags.jsonl"

Papers = Iterable[TaggedPaper]


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise TaggerError(
            "is a folder, so no file can be written there",
            path=path,
            hint="Move it away, or name another --output",
        )


def _refuse_other_than_data_set(path: Path) -> None:
    if path.exists() and not (path / "dataset_info.json").is_file():
        raise TaggerError(
            "is no data set, so it is not replaced",
            path=path,
            hint="Move it away, or name another --output",
        )


@dataclass(frozen=True, slots=True)
class Writer:
    """A format that tagged papers are written in.

    Parameters
    ----------
    name:
        As given to ``--write``.
    target:
        Name of the file, or the folder, that it makes.
    write:
        Takes the tagged papers, which it goes through once, the taxonomy and where to
        write; what stood there is replaced as a whole or not at all.
    package:
        What has to be installed for it.
    check:
        Raises :class:`TaggerError` if what stands at a path must not be replaced.
    """

    name: str
    target: str
    write: Callable[[Papers, Taxonomy, Path], None]
    package: str | None = None
    check: Callable[[Path], None] = _refuse_folder


def _jsonl(papers: Papers, _taxonomy: Taxonomy, path: Path) -> None:
    with replacing(path) as file:
        write_jsonl((paper.as_row() for paper in papers), file)


def _csv(papers: Papers, taxonomy: Taxonomy, path: Path) -> None:
    with replacing(path) as file:
        write_csv(papers, taxonomy, file)


def _parquet(papers: Papers, taxonomy: Taxonomy, path: Path) -> None:
    with replacing_bytes(path) as file:
        write_parquet(papers, taxonomy, file)


def _excel(papers: Papers, taxonomy: Taxonomy, path: Path) -> None:
    with replacing_bytes(path) as file:
        write_excel(papers, taxonomy, file)


def _dataset(papers: Papers, taxonomy: Taxonomy, path: Path) -> None:
    with replacing_folder(path) as folder:
        write_dataset(papers, taxonomy, folder)


WRITERS = (
    Writer("jsonl", TAGS_FILE, _jsonl),
    Writer("csv", "tags.csv", _csv),
    Writer("parquet", "tags.parquet", _parquet, "pyarrow"),
    Writer("excel", "tags.xlsx", _excel, "openpyxl"),
    Writer("dataset", "tags_dataset", _dataset, "datasets", _refuse_other_than_data_set),
)
"""All formats, in the order in which they are written."""
_ALWAYS = ("jsonl", "csv")


def choose_writers(names: Iterable[str] = ()) -> list[Writer]:
    """Return the writers of these names, beside those of JSON Lines and CSV, which always write.

    Raises
    ------
    TaggerError
        If there is no such format, or a package for it is missing.
    """
    wanted = {*_ALWAYS, *names}
    known = [writer.name for writer in WRITERS]
    for name in wanted.difference(known):
        raise TaggerError(
            f"'{name}' is no format that can be written", hint=f"One of: {', '.join(known)}"
        )
    chosen = [writer for writer in WRITERS if writer.name in wanted]
    for writer in chosen:
        if writer.package and find_spec(writer.package) is None:
            raise missing_package(ModuleNotFoundError(name=writer.package), "formats")
    return chosen
