"""Write tags into a Zotero library through its web API, version 3.

The API is that of https://www.zotero.org/support/dev/web_api/v3/basics and ``/write_requests``.
Each item is sent with the version that was read, so the server refuses it (412) if somebody changed
it meanwhile. pyzotero is not used: it needs bibtexparser 1, and the reader of BibTeX needs 2.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tagger._util.web import LONGEST_WAIT, make_client
from tagger.errors import TaggerError, first_line, without_password
from tagger.papers import KnownPapers, Paper
from tagger.papers.readers.json_lines import NO_PAPERS, paper_of
from tagger.tagging.writers.keywords import keywords_of, pattern_of_keywords

if TYPE_CHECKING:
    import httpx

ZOTERO_URL = "https://api.zotero.org"
_AT_ONCE_READ = 100
_AT_ONCE_WRITTEN = 50
_TIMEOUT = 60.0
_SAFE = re.compile(
    r"https://[\w.-]+(?::\d+)?(?:/|$)|http://(?:127\.0\.0\.1|localhost)(?::\d+)?(?:/|$)"
)
_LIBRARY = re.compile(r"(?:users|groups)/[0-9]+")
_AGAIN = "Run the same command again: it continues where it stopped"
_AUTOMATIC = 1
"""Type of a tag that no person has given; Zotero can hide these."""
_ERRORS = {
    401: ("the key is refused", "Make a new one: https://www.zotero.org/settings/keys"),
    403: ("the key is wrong or may not do this", "See https://www.zotero.org/settings/keys"),
    404: ("no such library, or the key may not read it", "Check --library"),
    409: ("the library is locked", _AGAIN),
    413: ("the request is too large", None),
    429: ("Zotero asks for fewer requests", "Wait some minutes. " + _AGAIN),
}


@dataclass(frozen=True, slots=True)
class TagChange:
    """What changes in an item: tags that it gains and loses, and all its tags afterwards."""

    key: str
    version: int
    title: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    tags: tuple[Mapping[str, Any], ...]


class ZoteroLibrary:
    """A library (``users/1``, ``groups/2``) that a key may use; by default that of the key's owner.

    Every method, like the constructor, raises a TaggerError if the server does not answer, or
    refuses the request.
    """

    def __init__(self, key: str, name: str | None = None, url: str = ZOTERO_URL) -> None:
        self.url, self._wait_until, key = url.rstrip("/"), 0.0, key.strip()
        if not (key.isascii() and key.isprintable()):
            raise TaggerError("the key for Zotero has invalid characters")
        if name and not _LIBRARY.fullmatch(name):
            hint = "For example --library users/12345 or groups/67890"
            raise TaggerError(f"'{name}' is not the name of a Zotero library", hint=hint)
        if not _SAFE.match(self.url):
            problem = "is not an https address, and the key is sent to no other"
            raise TaggerError(problem, path=without_password(url))
        self._client = make_client(
            self.url,
            ("GET", "POST"),
            timeout=_TIMEOUT,
            headers={"Zotero-API-Version": "3", "Authorization": f"Bearer {key}"},
        )
        with self._reading():
            own = self._ask("GET", "keys/current").json()
            self.name = name or f"users/{own['userID']}"
            kind, number = self.name.split("/")
            groups = own["access"].get("groups", {})
            rights = [groups.get("all", {}), groups.get(number, {})]
            if kind == "users":
                rights = [own["access"].get("user", {})] if str(own["userID"]) == number else []
            self.may_write = any(one.get("write") for one in rights)

    def items(self) -> Iterator[dict[str, Any]]:
        """Yield the items that are not attachments or notes, as objects with their fields."""
        start, total = 0, 1
        while start < total:
            page = {"limit": _AT_ONCE_READ, "start": start, "sort": "dateAdded", "direction": "asc"}
            with self._reading():
                answer = self._ask("GET", f"{self.name}/items/top", params=page)
                total = int(answer.headers["Total-Results"])
                found = [one["data"] for one in answer.json()]
                papers = [one for one in found if one["itemType"] not in NO_PAPERS]
            yield from papers
            start = start + _AT_ONCE_READ if found else total

    def write(self, changes: Sequence[TagChange]) -> Iterator[tuple[TagChange, int, str]]:
        """Write changes; yield each with 0, or the status and reason for which it was refused."""
        for start in range(0, len(changes), _AT_ONCE_WRITTEN):
            batch = changes[start : start + _AT_ONCE_WRITTEN]
            objects = [{"key": one.key, "version": one.version, "tags": one.tags} for one in batch]
            with self._reading():
                answer = self._ask("POST", f"{self.name}/items", json=objects).json()
                done = {*answer["success"], *answer["unchanged"]}
                missing = {"code": 500, "message": "the answer does not name it"}
                failed = [
                    {} if name in done else answer["failed"].get(name, missing)
                    for name in map(str, range(len(batch)))
                ]
                problems = [(int(one.get("code", 0)), one.get("message", "")) for one in failed]
            yield from ((one, *problem) for one, problem in zip(batch, problems, strict=True))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise a TaggerError if an answer lacks what the API describes."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            problem = "the answer is not that of Zotero's API"
            raise TaggerError(problem, path=self.url) from error

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        import httpx

        time.sleep(max(0.0, self._wait_until - time.monotonic()))
        try:
            answer = self._client.request(method, f"{self.url}/{path}", **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = f"Zotero does not answer ({first_line(error)})"
            raise TaggerError(problem, path=self.url, hint=_AGAIN) from error
        with suppress(ValueError):
            wait = min(float(answer.headers.get("Backoff", 0)), LONGEST_WAIT)
            self._wait_until = time.monotonic() + wait
        if not answer.is_success:
            problem = f"Zotero answers with error {answer.status_code}"
            problem, hint = _ERRORS.get(answer.status_code, (problem, _AGAIN))
            raise TaggerError(problem, path=f"{self.url}/{path}", hint=hint)
        return answer


def plan_changes(
    items: Iterable[Mapping[str, Any]],
    papers: Sequence[tuple[Paper, Mapping[str, Sequence[str]]]],
    prefix: str = "",
) -> tuple[list[TagChange], int]:
    """Return how the tags of items change, and the number of items that are found and do not.

    ``papers`` are papers with their tags. An item that is one of them gets a tag such as
    ``contribution: survey`` for each of its tags, and loses other tags of this form. All begin with
    ``prefix``. All other tags of the item stay.
    """
    named: dict[str, list[int]] = defaultdict(list)
    for number, (paper, _) in enumerate(papers):
        for name in paper.known_as:
            named[name].append(number)
    ours = pattern_of_keywords({facet for _, tags in papers for facet in tags}, prefix)
    changes, same = list[TagChange](), 0
    for item in items:
        found = paper_of(item)
        if isinstance(found, TaggerError):
            continue
        candidates = dict.fromkeys(
            number for name in found.known_as for number in named.get(name, ())
        )
        fitting = [n for n in sorted(candidates) if found in KnownPapers([papers[n][0]])]
        # A paper that shares only the title may be another one.
        ids = found.unique_ids
        own = max(fitting, key=lambda n: len(ids & papers[n][0].unique_ids), default=None)
        if own is None:
            continue
        wanted = [prefix + keyword for keyword in keywords_of(papers[own][1])]
        before = [tag["tag"] for tag in item.get("tags", ())]
        added = tuple(name for name in wanted if name not in before)
        removed = tuple(name for name in before if ours.fullmatch(name) and name not in wanted)
        kept = [tag for tag in item.get("tags", ()) if tag["tag"] not in removed]
        tags = (*kept, *({"tag": name, "type": _AUTOMATIC} for name in added))
        if added or removed:
            version = int(item["version"])
            changes.append(TagChange(item["key"], version, found.title, added, removed, tags))
        else:
            same += 1
    return changes, same
