"""Write tagged papers to files, one module a format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
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
from tagger.tagging.writers.table import write_csv
from tagger.taxonomy import Taxonomy

__all__ = ["TAGS_FILE", "WRITERS", "Writer", "choose_writers"]

TAGS_FILE = "tags.jsonl"


@dataclass(frozen=True, slots=True)
class Writer:
    """A format that tagged papers are written in, by its ``--write`` name.

    Its ``target`` is the name of the file or folder that ``opened`` gives, to take the place of a
    path. What ``write_to`` writes there it goes through once. It needs ``package`` to be installed.
    """

    name: str
    target: str
    write_to: Callable[[Iterable[TaggedPaper], Taxonomy, Any], None]
    opened: Callable[[Path], AbstractContextManager[Any]] = replacing
    package: str | None = None

    def write(self, papers: Iterable[TaggedPaper], taxonomy: Taxonomy, path: Path) -> None:
        """Write papers; what was at ``path`` is replaced as a whole or not at all."""
        with self.opened(path) as out:
            self.write_to(papers, taxonomy, out)

    def check(self, path: Path) -> None:
        """Raise :class:`TaggerError` if what is at ``path`` must not be replaced."""
        if self.opened is replacing_folder:
            problem = "is no data set, so it is not replaced"
            refused = path.exists() and not (path / "dataset_info.json").is_file()
        else:
            problem, refused = "is a folder, so no file can be written there", path.is_dir()
        if refused:
            raise TaggerError(problem, path=path, hint="Move it away, or name another --output")


def _write_jsonl(papers: Iterable[TaggedPaper], _taxonomy: Taxonomy, file: Any) -> None:
    write_jsonl((paper.as_row() for paper in papers), file)


WRITERS = (
    Writer("jsonl", TAGS_FILE, _write_jsonl),
    Writer("csv", "tags.csv", write_csv),
    Writer("parquet", "tags.parquet", write_parquet, replacing_bytes, "pyarrow"),
    Writer("excel", "tags.xlsx", write_excel, replacing_bytes, "openpyxl"),
    Writer("dataset", "tags_dataset", write_dataset, replacing_folder, "datasets"),
)
"""All formats, in the order in which they are written."""
_ALWAYS = ("jsonl", "csv")


def choose_writers(names: Iterable[str] = ()) -> list[Writer]:
    """Return the writers of these names, and those of JSON Lines and CSV, which always write.

    Raises a :class:`TaggerError` if there is no such format, or a package for it is missing.
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
