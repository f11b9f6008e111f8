"""The papers of a library: those of each week, and what is new in the last one."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from tagger._util.binomial import at_least
from tagger.errors import TaggerError
from tagger.labels import ConflictRule, LabelStore
from tagger.papers import Library, LibraryPaper, NearDuplicate, Paper, TaggedPaper
from tagger.report.flow import count_tags
from tagger.report.papers import ReportedPaper, Tags, gather_papers
from tagger.report.results import ResultFolder, read_result_folder, translate_results
from tagger.taxonomy import Taxonomy

WEEKS_COMPARED = 8
"""Number of earlier weeks that a week is compared with."""
_MIN_PAPERS = 3
_CHANCE = 0.01
"""Report a tag as rising if chance gives as many papers with a smaller probability."""


@dataclass(frozen=True, slots=True)
class RisingTag:
    """A tag of more papers of a week than chance explains; shares are from 0 to 1."""

    facet: str
    tag: str
    papers: int
    share: float
    share_before: float


@dataclass(frozen=True, slots=True)
class Week:
    """The last week of a library with additions.

    ``new`` counts its papers, ``new_before`` those of each of the weeks before it, earliest first.
    ``waiting`` papers of the week wait for review, and ``waiting_before`` older ones. ``untagged``
    counts the papers of the week without a tag, for each facet that has such papers.
    """

    library: str
    name: str
    new: int
    new_before: tuple[int, ...]
    rising: tuple[RisingTag, ...]
    waiting: int
    waiting_before: int
    untagged: dict[str, int]


def read_weeks(path: Path) -> list[ResultFolder]:
    """Return the papers of a library as one folder of results for each week with additions."""
    weeks: dict[date, list[LibraryPaper]] = {}
    library = Library(path)
    for one in library.papers():
        weeks.setdefault(one.added - timedelta(one.added.weekday()), []).append(one)
    if not weeks:
        raise TaggerError("contains no papers", path=path)
    pairs = library.near_duplicates()
    return [_folder(papers, f"week of {monday}", pairs) for monday, papers in sorted(weeks.items())]


def _folder(
    papers: Sequence[LibraryPaper], name: str, pairs: Iterable[NearDuplicate] = ()
) -> ResultFolder:
    ids = {one.tagged.id for one in papers}
    last = max((one.added for one in papers), default=date.min)
    return ResultFolder(
        name,
        datetime.combine(last, time(), UTC),
        tuple(one.tagged for one in papers),
        tuple(pair for pair in pairs if pair.ids[1] in ids),
        abstracts={one.tagged.id: one.abstract for one in papers if one.abstract},
    )


def last_week(
    library: Path, weeks: Sequence[ResultFolder], papers: Sequence[ReportedPaper]
) -> Week:
    """Compare the last week of a library with the weeks before; ``papers`` are all its papers."""
    last = weeks[-1]
    sunday = last.time + timedelta(6 - last.time.weekday())
    age = {one.name: (sunday - one.time).days // 7 for one in weeks}
    by_age: dict[int, list[ReportedPaper]] = {}
    for paper in papers:
        by_age.setdefault(age[paper.runs[0]], []).append(paper)
    # All papers of the week may be known by now: an identifier that came later joins them.
    new = by_age.get(0, [])
    ages = range(min(WEEKS_COMPARED, max(by_age)), 0, -1)
    before = [paper for weeks_ago in ages for paper in by_age.get(weeks_ago, ())]
    waiting = Counter(paper.runs[0] == last.name for paper in papers if paper.status == "waiting")
    untagged = Counter(facet for paper in new for facet, tags in paper.tags.items() if not tags)
    return Week(
        str(library),
        last.name,
        len(new),
        tuple(len(by_age.get(weeks_ago, ())) for weeks_ago in ages),
        tuple(_rising(new, before)),
        waiting[True],
        waiting[False],
        dict(untagged),
    )


def _rising(new: Sequence[ReportedPaper], before: Sequence[ReportedPaper]) -> list[RisingTag]:
    """Return the tags that rise, the least likely first.

    By chance, a paper with the tag is in the later period with the probability of that period's
    share of all papers (the conditional test of Przyborowski and Wilenski, 1940).
    """
    if not before:
        return []
    earlier, found = count_tags(before), list[tuple[float, RisingTag]]()
    for facet, tags in count_tags(new).items():
        for tag, papers in tags.items():
            older = earlier.get(facet, Counter())[tag]
            chance = at_least(papers, papers + older, len(new) / (len(new) + len(before)))
            if papers >= _MIN_PAPERS and chance < _CHANCE:
                shares = papers / len(new), older / len(before)
                found.append((chance, RisingTag(facet, tag, papers, *shares)))
    return [tag for _, tag in sorted(found, key=lambda one: one[0])]


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """A paper of a library with its abstract, if that is kept, and the answers of reviewers."""

    added: date
    paper: ReportedPaper
    abstract: str | None

    @property
    def with_abstract(self) -> Paper:
        """The paper as it was read."""
        return replace(self.tagged.paper, abstract=self.abstract or "")

    @property
    def tagged(self) -> TaggedPaper:
        """The paper with the reviewers' tags where they answered."""
        own, answer = self.paper.tagged, self.paper.answer
        return replace(own, tags=dict(self.paper.tags), review=None) if answer else own

    def as_row(self) -> dict[str, Any]:
        """Return the paper as a line of ``tags.jsonl``, with its day and its status of review."""
        status = {"added": self.added.isoformat(), "status": self.paper.status}
        return {**self.tagged.as_row(), **status}


def library_entries(
    path: Path,
    labels: Path | None,
    conflicts: ConflictRule = "latest",
    *,
    words: str = "",
    since: date = date.min,
    tags: Iterable[str] = (),
    waiting: bool = False,
) -> tuple[list[LibraryEntry], Taxonomy]:
    """Return the papers of a library that match, and the taxonomy of their tags.

    A tag that the model of a paper did not know has the confidence 0.

    A paper matches if it has all ``words`` (see :meth:`tagger.papers.Library.papers`) and all
    ``tags``, each given as ``facet/tag``, was added on the day ``since`` or later, and, if
    ``waiting``, waits for review. ``labels`` is the folder with the answers of reviewers.

    Raises a TaggerError if the library or the labels cannot be read, nothing was added, a tag is
    unknown, or papers have tags of a taxonomy that cannot be translated.
    """
    library = Library(path)
    content = library.taxonomy
    if content is None:
        raise TaggerError("contains no papers", path=path)
    store = LabelStore(labels) if labels else None
    taxonomy = store.taxonomy if store else Taxonomy.model_validate_json(content)
    wanted = [tuple(tag.split("/", 1)) for tag in tags]
    for facet, *tag in wanted:
        taxonomy.check_tags({facet: tag})
    papers = list(library.papers(words, since))
    found = translate_results(_folder(papers, path.name), taxonomy)
    complete = tuple(_with_all_tags(path, paper, taxonomy) for paper in found.papers)
    folder = replace(found, papers=complete)
    own = {one.tagged.id: one for one in papers}
    return [
        LibraryEntry(own[one.tagged.id].added, one, own[one.tagged.id].abstract)
        for one in gather_papers([folder], store.all_labels() if store else (), conflicts)
        if all(tag in one.tags.get(facet, ()) for facet, tag in wanted)
        and (one.status == "waiting" or not waiting)
    ], taxonomy


def reviewed_tags(place: Path, labels: Path | None) -> list[tuple[Paper, Tags]]:
    """Return the papers of a library or a result folder with their tags.

    Tags are those of the reviewers where they answered in the label folder. What is not a paper, by
    their answer, is left out. Raises a TaggerError if something cannot be read.
    """
    if place.is_file():
        papers = [one.paper for one in library_entries(place, labels)[0]]
    else:
        found, store = read_result_folder(place), LabelStore(labels) if labels else None
        if store:
            found = translate_results(found, store.taxonomy)
        papers = gather_papers([found], store.all_labels() if store else ())
    return [(one.tagged.paper, one.tags) for one in papers if one.status != "not a paper"]


def _with_all_tags(path: Path, paper: TaggedPaper, taxonomy: Taxonomy) -> TaggedPaper:
    """Return a paper with tags that are new in the taxonomy; its model gave none of them."""
    confidence = {facet.name: dict.fromkeys(facet.tag_names, 0.0) for facet in taxonomy.facets}
    for facet, known in paper.confidence.items():
        if not {*known} <= {*confidence.get(facet, {})}:
            raise TaggerError(
                f"{paper.title!r} has tags of another taxonomy than {taxonomy.version}",
                path=path,
                hint="With a model of this taxonomy, tag it anew: "
                f"tagger library retag {shlex.quote(str(path))}",
            )
        confidence[facet] |= known
    tags = {facet: paper.tags.get(facet, ()) for facet in confidence}
    return replace(paper, tags=tags, confidence=confidence)
