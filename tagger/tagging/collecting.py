"""Collect the papers of runs in a library, and tag the papers of a library again."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from tagger._util.atomic import exclusively
from tagger._util.progress import Progress, no_progress
from tagger.errors import shown
from tagger.model import ReviewRule, TaggerModel
from tagger.papers import KnownPapers, Library, LibraryPaper, NearDuplicate, Paper, TaggedPaper
from tagger.tagging.result_folder import WORK_FOLDER
from tagger.tagging.run import TagRun, tag_papers
from tagger.taxonomy import Taxonomy


@contextmanager
def work_on_library(path: Path) -> Iterator[Path]:
    """Lock a library for this process; provide the folder next to it in which a run works.

    If the run fails, the folder stays, and the next run of the same papers continues in it.
    """
    with exclusively(path):
        folder = path.with_name(f".{path.name}.work")
        if not (folder / WORK_FOLDER).exists():
            # Nothing to continue: a process was killed while it deleted the folder.
            shutil.rmtree(folder, ignore_errors=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Addition:
    """An addition to ``library``, a path as text: numbers of new, known and all papers.

    ``near_duplicates`` are those that the new papers bring.
    """

    library: str
    new: int
    known: int
    papers: int
    near_duplicates: list[NearDuplicate]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The papers of some files: those that a library lacks, and the others."""

    path: Path
    library: Library | None
    new: Sequence[Paper]
    known: Sequence[Paper]

    @classmethod
    def at(cls, path: Path, papers: Iterable[Paper]) -> Arrivals:
        """Find out which papers a library has, which need not exist yet."""
        library = Library(path) if path.exists() else None
        new, known = list[Paper](), list[Paper]()
        completed: dict[str, Paper] = {}
        for paper in papers:
            found = library.find(paper) if library else None
            own = found and completed.get(found.tagged.id, found.paper)
            # Identifiers of an earlier paper of these files may show that this one is another.
            if own and paper in KnownPapers([own]):
                known.append(paper)
                names = own.identifiers + paper.identifiers
                completed[own.id] = replace(own, identifiers=names)
            else:
                new.append(library.with_free_id(paper) if library else paper)
        return cls(path, library, new, known)

    def add(
        self, run: TagRun, taxonomy: Taxonomy, day: date | None, *, abstracts: bool
    ) -> Addition:
        """Add the new papers, which ``run`` has tagged: all of them, or none if this fails.

        Known papers keep their tags and their day; identifiers, names of files and missing
        abstracts are added to them. ``day`` is that of the addition, by default today.
        """
        library = self.library or Library.create(self.path)
        day = day or date.today()
        texts = {paper.id: paper.abstract for paper in self.new} if abstracts else {}
        new = (LibraryPaper(one, texts.get(one.id), day) for one in run.tagged())
        with library.changing():
            for paper in self.known:
                library.complete(paper, abstract=abstracts)
            library.add(new, taxonomy.model_dump_json())
            pairs = library.find_near_duplicates()
        return Addition(shown(self.path), run.papers, len(self.known), len(library), pairs)


@dataclass(frozen=True, slots=True)
class Retagging:
    """The papers of a library that another model has tagged.

    ``before`` and ``after`` have the same papers in the same order. ``without_text`` counts papers
    whose abstracts are not kept, and which therefore keep their tags.
    """

    before: tuple[TaggedPaper, ...]
    after: tuple[TaggedPaper, ...]
    without_text: int


def retag_library(
    path: Path,
    model: TaggerModel,
    rule: ReviewRule,
    texts: Sequence[Paper] = (),
    *,
    keep: bool = True,
    progress: Progress = no_progress,
) -> Retagging:
    """Tag the papers of a library that another model has tagged.

    Parameters
    ----------
    texts:
        Papers with their abstracts, for a library that does not keep them.
    keep:
        Whether to write the new tags to the library, or only to return them.

    Raises
    ------
    TaggerError
        If the library cannot be read or written, or as :func:`tag_papers` does.
    """
    with work_on_library(path) as folder:
        library = Library(path)
        known = {found.tagged.id: one for one in texts if (found := library.find(one))}
        before, papers, without_text = list[TaggedPaper](), list[Paper](), 0
        for one in library.papers():
            given = known.get(one.tagged.id)
            by = one.tagged.model, one.tagged.taxonomy
            # Of two stores, each has a version with the same number.
            if by == (model.name, model.taxonomy.version):
                continue
            if one.abstract is None and not given:
                without_text += 1
                continue
            before.append(one.tagged)
            papers.append(
                replace(one.paper, abstract=one.abstract or (given or one.paper).abstract)
            )
        if not papers:
            return Retagging((), (), without_text)
        run = tag_papers(papers, model, folder, rule, abstracts=False, progress=progress)
        after = {paper.id: paper for paper in run.tagged()}
        if keep:
            with library.changing():
                library.update(after.values(), model.taxonomy.model_dump_json())
        kept = [paper for paper in before if paper.id in after]
        return Retagging(tuple(kept), tuple(after[paper.id] for paper in kept), without_text)
