"""Write tagged papers to files, one module per format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tagger._util.atomic import replacing, replacing_bytes, replacing_folder
from tagger.errors import TaggerError, missing_package
from tagger.papers import TaggedPaper
from tagger.tagging.writers.arrow import write_parquet
from tagger.tagging.writers.dataset import write_dataset
from tagger.tagging.writers.excel import write_excel
from tagger.tagging.writers.jsonl import write_jsonl
from tagger.tagging.writers.notes import write_notes
from tagger.tagging.writers.table import write_csv
from tagger.taxonomy import Taxonomy

__all__ = ["TAGS_FILE", "WRITERS", "Writer", "choose_writers"]

TAGS_FILE = "tags.jsonl"


@dataclass(frozen=True, slots=True)
class Writer:
    """An output format; ``name`` is its name in ``--write``.

    Parameters
    ----------
    target:
        Name of the file or folder in the output folder.
    write_to:
        Called with the papers, which it iterates over once, the taxonomy, and what ``replacing_at``
        returned.
    replacing_at:
        Opens a temporary file or folder that replaces a path when all is written. With
        ``nullcontext``, the files of a folder are replaced one by one, and others stay.
    package:
        Package that must be installed.
    """

    name: str
    target: str
    write_to: Callable[[Iterable[TaggedPaper], Taxonomy, Any], None]
    replacing_at: Callable[[Path], AbstractContextManager[Any]] = replacing
    package: str | None = None

    def write(self, papers: Iterable[TaggedPaper], taxonomy: Taxonomy, path: Path) -> None:
        """Write papers; the file or folder at ``path`` is replaced as ``replacing_at`` does it."""
        with self.replacing_at(path) as out:
            self.write_to(papers, taxonomy, out)

    def check(self, path: Path) -> None:
        """Raise a :class:`TaggerError` if ``path`` must not be replaced."""
        if self.replacing_at is replacing_folder:
            problem = "exists and is not a data set, so it is not replaced"
            refused = path.exists() and not (path / "dataset_info.json").is_file()
        elif self.replacing_at is nullcontext:
            problem, refused = "is a file, so no folder can be written there", path.is_file()
        else:
            problem, refused = "is a folder, so no file can be written there", path.is_dir()
        if refused:
            raise TaggerError(problem, path=path, hint="Move it, or choose another --output")


def _write_jsonl(papers: Iterable[TaggedPaper], _taxonomy: Taxonomy, file: Any) -> None:
    write_jsonl((paper.as_row() for paper in papers), file)


WRITERS = (
    Writer("jsonl", TAGS_FILE, _write_jsonl),
    Writer("csv", "tags.csv", write_csv),
    Writer("parquet", "tags.parquet", write_parquet, replacing_bytes, "pyarrow"),
    Writer("excel", "tags.xlsx", write_excel, replacing_bytes, "openpyxl"),
    Writer("dataset", "tags_dataset", write_dataset, replacing_folder, "datasets"),
    Writer("notes", "notes", write_notes, nullcontext),
)
"""All formats, in the order in which they are written."""
_ALWAYS = ("jsonl", "csv")


def choose_writers(names: Iterable[str] = ()) -> list[Writer]:
    """Return the writers of the given names, and those of JSON Lines and CSV, always written.

    Raises a :class:`TaggerError` if a format is unknown, or a package for it is missing.
    """
    wanted = {*_ALWAYS, *names}
    known = [writer.name for writer in WRITERS]
    for name in wanted.difference(known):
        raise TaggerError(
            f"unknown output format '{name}'", hint=f"Choose one of: {', '.join(known)}"
        )
    chosen = [writer for writer in WRITERS if writer.name in wanted]
    for writer in chosen:
        if writer.package and find_spec(writer.package) is None:
            raise missing_package(ModuleNotFoundError(name=writer.package), "formats")
    return chosen
