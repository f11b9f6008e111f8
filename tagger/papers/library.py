"""A library: one SQLite file that collects the tagged papers of many runs.

A paper is added once. It keeps its id and the day on which it was added. Its tags are those of a
model. Reviewers' answers are in the label folder, so tagging again does not lose them.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from pydantic import TypeAdapter

from tagger._util.atomic import cannot_write, making
from tagger._util.text_safety import UNSAFE
from tagger.errors import TaggerError
from tagger.papers import near_duplicates as near
from tagger.papers.identity import KnownPapers
from tagger.papers.paper import Paper, paper_id
from tagger.papers.tagged_paper import TaggedPaper

FORMAT = 2
"""Version of the tables, in the header of the file (``user_version``)."""
_APPLICATION = int.from_bytes(b"tagr", "big")
_MARK = b"SQLite format 3\x00"
_TABLES = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {FORMAT};
CREATE TABLE papers (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, added TEXT NOT NULL, tagged TEXT NOT NULL,
  abstract TEXT
);
CREATE INDEX by_day ON papers (added);
CREATE TABLE names (name TEXT, number INTEGER, PRIMARY KEY (name, number)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (title, abstract, content='', tokenize='porter');
CREATE TABLE taxonomy (content TEXT NOT NULL);
CREATE TABLE sketches (id TEXT PRIMARY KEY, sketch BLOB NOT NULL);
CREATE TABLE near_duplicates (content TEXT NOT NULL);
"""
_ROWS = "SELECT tagged, abstract, added FROM papers"
_TEXT = "json_extract(tagged, '$.title') || ' ' || ifnull(abstract, '')"
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff"
    "\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese, which have no spaces between words: the table
``words`` has their phrases as one word."""
_TAGGED = TypeAdapter(TaggedPaper)
_PAIR = TypeAdapter(near.NearDuplicate)


@dataclass(frozen=True, slots=True)
class LibraryPaper:
    """A paper of a library; ``abstract`` is None if abstracts were not to be kept."""

    tagged: TaggedPaper
    abstract: str | None
    added: date

    @property
    def paper(self) -> Paper:
        """The paper with its abstract, if that is kept."""
        return replace(self.tagged.paper, abstract=self.abstract or "")


def is_library(start: bytes) -> bool:
    """Return whether a file that starts with these bytes is a library of any format."""
    return start.startswith(_MARK) and start[68:72] == _APPLICATION.to_bytes(4, "big")


class Library:
    """An open library.

    Raises a TaggerError if the file is missing or damaged, is not a library, or has another format.
    A method that cannot write the file raises one and leaves the file unchanged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            raise TaggerError("is a folder, and a library is a file", path=path)
        try:
            with path.open("rb") as file:
                start = file.read(100)
        except FileNotFoundError as error:
            hint = "'tagger tag' makes one with --into"
            raise TaggerError("no such library", path=path, hint=hint) from error
        except OSError as error:
            reason = f"cannot be read ({error.strerror or error})"
            raise TaggerError(reason, path=path) from error
        if not is_library(start):
            raise TaggerError("is not a library of tagger", path=path, hint="Name another file")
        with self._reporting():
            self._database = sqlite3.connect(path, isolation_level=None)
            ((version,),) = self._database.execute("PRAGMA user_version")
            ((state,),) = self._database.execute("PRAGMA quick_check(1)")
        if version != FORMAT:
            raise TaggerError(
                f"is a library of format {version}, and this version of tagger reads {FORMAT}",
                path=path,
                hint="Use the version of tagger that wrote it, or collect in a new file",
            )
        if state != "ok":
            raise self._damaged(state)

    @classmethod
    def create(cls, path: Path) -> Library:
        """Write an empty library; the folder is made if it is missing."""
        with making(path) as new, closing(sqlite3.connect(new)) as database:
            database.executescript(_TABLES)
        return cls(path)

    def __len__(self) -> int:
        with self._reporting():
            ((number,),) = self._database.execute("SELECT count(*) FROM papers")
        return int(number)

    @property
    def taxonomy(self) -> str | None:
        """The taxonomy of the last addition, as JSON; None if nothing was added."""
        with self._reporting():
            found = self._database.execute("SELECT content FROM taxonomy").fetchone()
        return str(found[0]) if found else None

    def papers(self, words: str = "", since: date = date.min) -> Iterator[LibraryPaper]:
        """Return papers in the order in which they were added.

        With ``words``, only papers are returned whose title and abstract have them all, the best
        matches first. Words in double quotes are a phrase. If some of ``words`` are in a script
        without spaces, all are searched as parts of words, a phrase as its words in this order,
        and the papers keep their order. Raises a TaggerError if ``words`` are only quotes and
        blanks.
        """
        query, values = f"{_ROWS} WHERE added >= ? ORDER BY number", [since.isoformat()]
        phrases = _phrases(words) if words else []
        if re.search(f"[{_UNSPACED}]", words):
            like = f"AND {_TEXT} LIKE ? " * len(phrases)
            query = f"{_ROWS} WHERE added >= ? {like}ORDER BY number"
            values += [re.sub(rf"[^\w{_UNSPACED}]+", "%", f" {part} ") for part in phrases]
        elif phrases:
            query = (
                "SELECT tagged, papers.abstract, added FROM words JOIN papers ON number = "
                "words.rowid WHERE added >= ? AND words MATCH ? ORDER BY rank"
            )
            # In quotes, FTS5 does not read a phrase as its query syntax.
            values.append(" ".join(f'"{part}"' for part in phrases))
        return self._select(query, values)

    def find(self, paper: Paper) -> LibraryPaper | None:
        """Return the paper that an entry describes, preferably one that shares an identifier."""
        marks = ", ".join("?" * len(paper.known_as))
        query = f"{_ROWS} WHERE number IN (SELECT number FROM names WHERE name IN ({marks}))"
        own, found = paper.unique_ids, self._select(query, [*paper.known_as])
        fit = (one for one in found if paper in KnownPapers([one.tagged.paper]))
        return max(fit, key=lambda one: len(own & one.tagged.paper.unique_ids), default=None)

    def _select(self, query: str, values: Sequence[str] = ()) -> Iterator[LibraryPaper]:
        with self._reporting():
            for tagged, abstract, day in self._database.execute(query, values):
                yield LibraryPaper(_TAGGED.validate_json(tagged), abstract, date.fromisoformat(day))

    def with_free_id(self, paper: Paper) -> Paper:
        """Return a paper that is not in the library, with an id that no other paper there has."""
        with self._reporting():
            query = "SELECT 1 FROM papers WHERE id = ?"
            if not self._database.execute(query, [paper.id]).fetchone():
                return paper
        return replace(paper, id=paper_id(f"{paper.title} {paper.id}"))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep all changes that are made in the block, or none of them."""
        with self._reporting():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def add(self, papers: Iterable[LibraryPaper], taxonomy: str) -> None:
        """Add papers that the library does not have, tagged with a taxonomy (JSON)."""
        for one in papers:
            values = (one.tagged.id, one.added.isoformat(), _json(one.tagged), one.abstract)
            row = "INSERT INTO papers (id, added, tagged, abstract) VALUES (?, ?, ?, ?)"
            number = self._database.execute(row, values).lastrowid
            self._index(number, one.paper)
        self._set_taxonomy(taxonomy)

    def find_near_duplicates(self) -> list[near.NearDuplicate]:
        """Find, keep and return the near duplicates of the papers added since the last call."""
        select, execute = self._select, self._database.execute
        fresh = select(f"{_ROWS} WHERE id NOT IN (SELECT id FROM sketches) ORDER BY number")
        sketches = {one.tagged.id: near.sketch_of(one.paper) for one in fresh}
        likely = near.likely_near_duplicates(sketches, dict(execute("SELECT * FROM sketches")))
        query = f"{_ROWS} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY number"
        papers = [one.paper for one in select(query, [json.dumps([*likely, *sketches])])]
        pairs = near.find_near_duplicates(papers)
        pairs = [pair for pair in pairs if not sketches.keys().isdisjoint(pair.ids)]
        self._database.executemany("INSERT INTO sketches VALUES (?, ?)", sketches.items())
        rows = ((json.dumps(asdict(pair)),) for pair in pairs)
        self._database.executemany("INSERT INTO near_duplicates VALUES (?)", rows)
        return pairs

    def near_duplicates(self) -> list[near.NearDuplicate]:
        """Return the pairs that were found when papers were added."""
        with self._reporting():
            found = self._database.execute("SELECT content FROM near_duplicates ORDER BY rowid")
            return [_PAIR.validate_json(content) for (content,) in found]

    def update(self, papers: Iterable[TaggedPaper], taxonomy: str) -> None:
        """Replace the tags of papers, found by their ids."""
        rows = ((_json(tagged), tagged.id) for tagged in papers)
        self._database.executemany("UPDATE papers SET tagged = ? WHERE id = ?", rows)
        self._set_taxonomy(taxonomy)

    def complete(self, entry: Paper, *, abstract: bool) -> None:
        """Add identifiers, sources and a missing abstract of another entry of a known paper.

        Raises ValueError if the library does not have the paper.
        """
        known = self.find(entry)
        if known is None:
            raise ValueError(f"the library has no paper '{entry.title}'")
        query = "SELECT number FROM papers WHERE id = ?"
        ((number,),) = self._database.execute(query, [known.tagged.id])
        own, before = known.tagged, known.paper
        named = replace(before, identifiers=own.identifiers + entry.identifiers)
        sources = tuple(dict.fromkeys(own.sources + entry.sources))
        tagged = replace(own, identifiers=named.identifiers, sources=sources)
        text = known.abstract or (entry.abstract if abstract else known.abstract)
        query = "UPDATE papers SET tagged = ?, abstract = ? WHERE number = ?"
        self._database.execute(query, (_json(tagged), text, number))
        if text != known.abstract:
            self._database.execute("DELETE FROM sketches WHERE id = ?", [own.id])
        row = ("delete", number, before.title, before.abstract)
        self._database.execute(
            "INSERT INTO words (words, rowid, title, abstract) VALUES (?, ?, ?, ?)", row
        )
        self._index(number, replace(tagged.paper, abstract=text or ""))

    def _index(self, number: int | None, paper: Paper) -> None:
        names = ((name, number) for name in paper.known_as)
        self._database.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", names)
        row = (number, paper.title, paper.abstract)
        self._database.execute("INSERT INTO words (rowid, title, abstract) VALUES (?, ?, ?)", row)

    def _set_taxonomy(self, taxonomy: str) -> None:
        self._database.execute("DELETE FROM taxonomy")
        self._database.execute("INSERT INTO taxonomy VALUES (?)", [taxonomy])

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Convert the errors of the database to TaggerErrors."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                hint = "Wait until it has finished, and give the same command again"
                raise TaggerError("another process uses it", path=self.path, hint=hint) from error
            raise cannot_write(self.path, OSError(str(error))) from error
        except (sqlite3.DatabaseError, ValueError) as error:
            raise self._damaged(str(error).splitlines()[0]) from error

    def _damaged(self, reason: str) -> TaggerError:
        return TaggerError(f"is damaged ({reason})", path=self.path, hint="Restore a copy of it")


def _json(tagged: TaggedPaper) -> str:
    return json.dumps(tagged.as_row())


def _phrases(words: str) -> list[str]:
    """Return the words, and the phrases in double quotes."""
    # FTS5 reads a query only up to a NUL, and SQLite takes no lone surrogates.
    parts: Sequence[str] = UNSAFE.sub(" ", words).split('"')
    phrases = [part for n, part in enumerate(parts) for part in ([part] if n % 2 else part.split())]
    phrases = [part for part in phrases if part.strip()]
    if not phrases:
        hint = "Give words of titles and abstracts"
        raise TaggerError("the search has no words", hint=hint)
    return phrases
