"""What fuzz.py feeds spoiled inputs to: everything here that reads what others wrote.

A target takes bytes and returns; a :class:`~tagger.errors.TaggerError` is a good end, any other
exception is a crash. The samples are invented.
"""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from tagger.errors import TaggerError
from tagger.labels import LabelStore, find_conflicts, merge_labels
from tagger.model import ReviewRule, decide
from tagger.papers import (
    Library,
    LibraryPaper,
    TaggedPaper,
    collect_papers,
    find_near_duplicates,
    merge_duplicates,
    read_papers,
)
from tagger.papers.readers import FORMATS
from tagger.papers.readers.cleaning import clean_marked_up_text, clean_text
from tagger.papers.readers.identifiers import identifiers_of, written_identifiers
from tagger.taxonomy import Taxonomy, TaxonomyDocument

TESTS = Path(__file__).parents[1] / "tests"

SAID = (
    "We look at how boats find the harbour in fog. Our lamps helped 7 of 9 of them & cost <1% more."
)
MORE = "A second study of lamps. It asks whether <i>blue</i> light is seen at all, and by whom."


@dataclass(frozen=True)
class Target:
    """Something that reads.

    Parameters
    ----------
    name:
        What the table calls it.
    samples:
        Inputs that are as they should be.
    kind:
        How they are spoiled: as bytes, as JSON, or as an archive of files.
    run:
        Takes an input.
    share:
        How many inputs it gets beside the others: what is cheap gets more.
    """

    name: str
    samples: Sequence[bytes]
    kind: Literal["bytes", "json", "archive"]
    run: Callable[[bytes], None]
    share: int


def make_targets(folder: Path) -> list[Target]:
    """Return all targets.

    Parameters
    ----------
    folder:
        An empty one, for the files that they read; best in memory.
    """
    return [*_readers(folder), *_texts(), *_own_files(folder), *_review(folder), *_models(folder)]


def archive_of(members: dict[str, bytes]) -> bytes:
    """Pack files into a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def members_of(archive: bytes) -> dict[str, bytes]:
    """Unpack a zip archive that was made by :func:`archive_of`."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


# ---------------------------------------------------------------------------------------- readers


def _readers(folder: Path) -> Iterator[Target]:
    tables = _table_samples()
    samples: dict[str, list[bytes]] = {
        "digest": [
            f"new\n\nSubscribe\n\nMon Mar 12\n\nLamps for boats\n\n{SAID}\n\nOn $x^2$ and "
            f"\\textbf{{light}}\n\n{MORE}\n".encode(),
            f"2024-01-02\n\nA\n\n{SAID}\n\nMar 3\n\nB\n\n{MORE}\n\nunsubscribe here\n".encode(),
        ],
        "bibtex": [
            b'@string{j = "Lamps"}\n@article{a1,\n title = {Boats {in} fog} # j,\n doi = '
            b"{10.1234/abc},\n abstract = {We \\emph{look} at $a_1$ \\& more.},\n url={http"
            b"://arxiv.org/abs/2101.00001v2}\n}\n\n@comment{x}\n@misc(b, "
            b'title="Two", year=2020)\n',
            b"% made by hand\n@inproceedings{k, title={A}, subtitle = {b}, eprint={2101.00002}, "
            b"archiveprefix={arXiv}, pmid = 12}\n",
        ],
        "ris": [
            b"TY  - JOUR\r\nTI  - Boats in fog\r\nAB  - We look. And see.\r\nDO  - 10.1234/x\r\n"
            b"KW  - lamps\r\nN1  - PMID: 123 arXiv:2101.00001\r\nER  - \r\n",
            b"TY  - BOOK\nBT  - A book\nUR  - https://doi.org/10.1234/y\nKW  - a\nb\nER  - \n\n",
        ],
        "nbib": [
            b"PMID- 123\nTI  - Boats in\n      fog.\nAB  - We look.\n      And see.\nLID - "
            b"10.1234/x [doi]\nAID - S1 [pii]\n\nPMID- 124\nTI  - [Not available].\nTT  - Boote\n",
        ],
        "pubmed-xml": [
            b'<?xml version="1.0"?><!DOCTYPE PubmedArticleSet><PubmedArticleSet><PubmedArticle>'
            b"<MedlineCitation><PMID>1</PMID><Article><ArticleTitle>Boats <i>in</i> fog"
            b'</ArticleTitle><Abstract><AbstractText Label="AIM">To &amp; look.</AbstractText>'
            b'</Abstract><ELocationID EIdType="doi">10.1234/x</ELocationID></Article>'
            b"</MedlineCitation></PubmedArticle></PubmedArticleSet>",
        ],
        "csv": [
            b"Title,Abstract,DOI,Link\nBoats,\"We look, and \"\"see\"\".\",10.1234/x,\nTwo,b,,u\n",
            b"ti\tab\tpm\nBoats\tWe look.\t12\n\"Two\tb\t\n",
            "title;abstract\nBoote;Wir schauen\n".encode("utf-16"),
        ],
        "excel": [tables["excel"]],
        "json": [
            b'{"title": "Boats", "abstract": "We look.", "id": "doi:10.1234/x", "n": [1, 2.5]}\n'
            b'{"title": ["Two"], "identifiers": ["pmid:1"], "link": null}\n',
            b'[{"title": "A", "extra": {"b": [true]}}, {"title": "B", "abstract": null}]',
        ],
        "parquet": [tables["parquet"]],
        "feed": [
            b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>f</title>'
            b'<entry><title>Boats</title><summary type="html">&lt;p&gt;We look.&lt;/p&gt;'
            b'</summary><link href="http://arxiv.org/abs/2101.00001v1"/></entry></feed>',
            b'<rss version="2.0"><channel><title>f</title><item><title>Boats</title><description>'
            b"arXiv:2101.00001v1 Announce Type: new Abstract: We look.</description></item>"
            b"</channel></rss>",
        ],
        "html": [
            f"<!doctype html><html><head><title>x</title></head><body><nav>n</nav><h2 class='x'>"
            f"Boats</h2><p>{SAID}</p><p>{MORE}</p><div class=paper-title>Two</div><p>{MORE}</p>"
            "<p style='display:none'>no</p><br><br>end</body></html>".encode(),
        ],
        "mail": [
            b"From: a@b.invalid\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\nSubject: =?utf-8?q?x?="
            b"\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"b\"\r\n\r\n"
            b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
            b"quoted-printable\r\n\r\nBoats\r\n\r\n"
            + SAID.encode()
            + b"\r\n-- \r\nme\r\n--b--\r\n",
            b"From: a@b.invalid\nMessage-ID: <1@b>\nContent-Type: text/html\n\n<h2>Boats</h2><p>"
            + SAID.encode() + b"</p>\n",
        ],
        "library": [tables["library"]],
        "wos": [
            b"FN Name\nVR 1.0\nPT J\nTI Boats in\n   fog\nAB We look.\n   And see.\n"
            b"DI 10.1234/x\nPM 123\nUT WOS:01\nER\n\nPT J\nTI Two\nUT MEDLINE:124\nER\n\nEF\n",
        ],
        "refer": [
            b"%0 Journal Article\n%T Boats in fog\n%A Name, A\n%R 10.1234/x\n%X We look.\n"
            b"And see.\n\n%0 Book\n%T Two\n%U https://arxiv.org/abs/2101.00001\n",
        ],
        "refworks": [
            b"RT Journal Article\nSR Electronic(1)\nA1 Name,A\nT1 Boats in fog\nAB We look.\n"
            b"And see.\nDO 10.1234/x\nFD 2021/01/01\n\nRT Book, Section\nT1 Two\nLK http://x.org\n",
        ],
        "ovid": [
            b"<1>\nUnique Identifier\n  123\nDatabase\n  Ovid MEDLINE(R)\nTitle\n  Boats in fog\n"
            b"Abstract\n  We look.\n\n<2. >\nTitle\n  Two\nDOI Number\n  10.1234/x\n",
        ],
        "mods-xml": [
            b'<modsCollection xmlns="http://www.loc.gov/mods/v3"><mods><titleInfo><nonSort>The'
            b"</nonSort><title>Boats</title></titleInfo><abstract>We look.</abstract><identifier "
            b'type="doi">10.1234/x</identifier><originInfo><dateIssued>2021-01-01</dateIssued>'
            b"</originInfo></mods><mods><titleInfo><title>Two</title></titleInfo></mods>"
            b"</modsCollection>",
        ],
        "endnote-xml": [
            b'<?xml version="1.0"?><xml><records><record><source-app name="EndNote">EndNote'
            b"</source-app><titles><title><style>Boats </style><style>in fog</style></title>"
            b"</titles><abstract>We look.</abstract><electronic-resource-num>10.1234/x"
            b"</electronic-resource-num></record><record><rec-number>2</rec-number><titles><title>"
            b"Two</title></titles></record></records></xml>",
        ],
        "arxiv-listing": [
            b"-----\n\\\\\narXiv:2101.00001\nDate: Fri, 1 Jan 2021 00:16:29 GMT   (1kb)\n\nTitle: "
            b"Boats in\n  fog\nAuthors: A\nDOI: 10.1234/x\n\\\\\n  We look.\n"
            b"\\\\ ( https://arxiv.org/abs/2101.00001 , 1kb)\n%-%-%-%-\n\\\\\narXiv:2101.00002\n"
            b"replaced with revised version Fri\n\nTitle: Two\n\\\\ ( x , 1kb)\n",
        ],
        "nep": [
            b"nep-cul New Economics Papers\n\n1. Boats in fog By Name, A\n2. Two By B\n----------\n"
            b"1. By: Name, A (Harbour)\n   Abstract: We look.\n   URL: http://d.repec.org/n?u=RePEc:a\n"
            b"2. Two\n\n    Name, B\n\nWe ask. And see.\n\nDate: 2026-10\n",
        ],
        "pubmed-text": [
            b"1. Ann Boats. 2026 Feb;10(2):1-9. doi: 10.1234/x.\n\nBoats in fog\n\nName A(1).\n\n"
            b"Author information:\n(1)Dept.\n\n" + SAID.encode() + b"\n\nPMID: 123\n\n\n"
            b"2. J B. 2026;3:1.\n\nTwo\n\nPMID: 124\n",
            b"1: Name A. Boats in fog. Ann Boats. 2026 Feb;10(2):1-9. doi: 10.1234/x. PMID: 123.\n",
        ],
        "dataset": [tables["dataset"]],
    }  # fmt: skip
    if missing := FORMATS.keys() - samples:
        raise LookupError(f"no samples of the formats {', '.join(sorted(missing))}: add them above")
    shares = {
        "excel": 6,
        "dataset": 4,
        "parquet": 40,
        "library": 10,
        "feed": 10,
        "html": 12,
        "mail": 15,
        "json": 100,
    }
    for name in FORMATS:
        read = _read_dataset if name == "dataset" else _read_file
        yield Target(
            f"reader: {name}",
            samples[name],
            "archive" if name in ("excel", "dataset") else "bytes",
            _bind(read, folder / f"in-{name}", name),
            shares.get(name, 60),
        )
    texts = [text for name in samples if name != "dataset" for text in samples[name]]
    yield Target(
        "reader: told by content", texts, "bytes", _bind(_read_file, folder / "in", None), 30
    )
    libraries = samples["bibtex"] + samples["ris"]
    yield Target("library given back", libraries, "bytes", _bind(_give_back, folder / "lib"), 15)


def _bind(function: Callable[..., None], *first: Any) -> Callable[[bytes], None]:
    return lambda content: function(*first, content)


def _read_file(path: Path, name: str | None, content: bytes) -> None:
    path.write_bytes(content)
    papers = list(read_papers([path], format_name=name))
    for paper in papers:
        # What a page gives must be text that can be written, searched and shown.
        f"{paper.title}{paper.abstract}{paper.id}".encode()
        assert paper.title == clean_text(paper.title)
    merged = merge_duplicates(papers[:200])
    find_near_duplicates(merged)


def _read_dataset(path: Path, name: str | None, content: bytes) -> None:
    try:
        members = members_of(content)
    except Exception:
        # No archive any more: a folder is what is to be read.
        return
    _write_folder(path, members)
    list(read_papers([path], format_name=name))


def _write_folder(path: Path, members: dict[str, bytes]) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for member, text in members.items():
        plain = "".join(letter for letter in member if letter.isalnum() or letter in "-_.")
        if plain.strip("."):
            (path / plain[:100]).write_bytes(text)


def _give_back(path: Path, content: bytes) -> None:
    from tagger.tagging.writers.keywords import write_with_keywords

    suffix = ".ris" if content.startswith(b"TY") else ".bib"
    source = path.with_suffix(suffix)
    source.write_bytes(content)
    read = collect_papers([source])
    if read.files[0].format not in ("bibtex", "ris"):
        return
    tags = [{"kind": ["survey"], "field": []}] * len(read.papers)
    entries = [read.entries[place].title for place in read.files[0].entries]
    out = path.with_name("lib-out")
    shutil.rmtree(out, ignore_errors=True)
    for written in write_with_keywords(read, tags, _taxonomy(), out):
        again = list(read_papers([written], format_name=read.files[0].format))
        assert [paper.title for paper in again] == entries


def _table_samples() -> dict[str, bytes]:
    import datasets
    import openpyxl
    import pyarrow as pa
    import pyarrow.parquet as pq

    warnings.simplefilter("ignore")
    datasets.disable_progress_bars()
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (("Title", "Abstract", "Year"), ("Boats", SAID, 2020), ("=Two", None, 1.5)):
        sheet.append(row)
    excel, parquet = io.BytesIO(), io.BytesIO()
    book.save(excel)
    table = {"title": ["Boats", "Two"], "abstract": [SAID, MORE], "year": [1, 2]}
    pq.write_table(pa.table(table), parquet)
    saved = Path(f"/dev/shm/tagger-fuzz-sample-{id(table)}")
    datasets.Dataset.from_dict(table).save_to_disk(saved)
    members = {path.name: path.read_bytes() for path in saved.iterdir()}
    shutil.rmtree(saved)
    library = Library.create(saved)
    paper = TaggedPaper.from_row(_TAGS_ROW)
    library.add([LibraryPaper(paper, SAID, date(2026, 1, 2))], _taxonomy().model_dump_json())
    content = saved.read_bytes()
    saved.unlink()
    return {
        "excel": excel.getvalue(),
        "parquet": parquet.getvalue(),
        "dataset": archive_of(members),
        "library": content,
    }


# ------------------------------------------------------------------------------ texts, identifiers


def _texts() -> Iterator[Target]:
    samples = [
        b"A \\textbf{bold} claim: $\\alpha$-stable {\\em lamps} -- 5\\% & more",
        b"<p>We <i>look</i> &amp; see</p> <jats:sec>x</jats:sec> H<sub>2</sub>O a < b",
        b"\\href{http://x}{y} \\frac{1}{2} \\begin{itemize} \\item a \\end{itemize} ~5 ``so''",
        "mathcal{O}(n) caf\\'e na\\\"ive \u202dx\u202c &#x1b;[1m".encode(),
    ]
    yield Target("cleaning of text", samples, "bytes", _clean, 40)
    names = [
        b"doi:10.1234/abc; pmid:123; arxiv:2101.00001",
        b"https://doi.org/10.1002/(SICI)1(1998)1:2<3::AID-X9>3.0.CO;2-2.",
        b"arXiv:math.GT/0309136v2 [math.GT] https://pubmed.ncbi.nlm.nih.gov/12/",
    ]
    yield Target("identifiers", names, "bytes", _identify, 200)


def _clean(content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    for clean in (clean_text, clean_marked_up_text):
        cleaned = clean(text)
        cleaned.encode()
        assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in cleaned)


def _identify(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    found = identifiers_of(dois=[text], arxiv=[text], pmids=[text], links=[text])
    for name in (*found, *written_identifiers(text)):
        assert written_identifiers(name) == (name,), name


# ------------------------------------------------------------------------ taxonomy, labels, results


TAXONOMY = b"""# made by hand
name: small
facets:
  - name: kind
    definition: What it is.
    exclusive: true
    tags:
      - name: survey
        definition: "Looks back."
      - {name: method, definition: Something new.}
      - name: study
        definition: |
          Asks
          a question.
  - name: field
    definition: What it is about.
    tags:
      - {name: health, definition: Health.}
      - {name: heart, definition: The heart., parent: health}
      - {name: law, definition: Law.}
"""
LABEL = {
    "id": "doi:10.1234/x",
    "title": "Boats",
    "text": SAID,
    "outcome": "tagged",
    "tags": {"kind": ["survey"], "field": ["heart", "health"]},
    "annotator": "ann",
    "time": "2026-01-01T00:00:00Z",
    "source": "review",
    "final": True,
    "note": "n",
    "prediction": {"model": "tagger/1", "tags": {"kind": ["study"]}, "shown": False},
    "origin": {
        "annotation": "u-1",
        "updated": "2026-01-01T00:00:00Z",
        "project": "1/2026",
        "task": 3,
        "queue": "random",
        "lead_time": 2.5,
    },
}
_TAGS_ROW = {
    "id": "doi:10.1234/x",
    "title": "Boats",
    "identifiers": ["doi:10.1234/x"],
    "sources": ["a.txt"],
    "tags": {"kind": ["survey"], "field": []},
    "confidence": {"kind": {"survey": 0.9, "study": 0.1}, "field": {"law": 0.2}},
    "review": {"facets": ["kind"], "reason": "kind: survey 0.5 or study 0.4"},
    "model": "tagger/1",
    "taxonomy": "small@0",
}


def _taxonomy() -> Taxonomy:
    return TaxonomyDocument(TAXONOMY.decode(), Path("taxonomy.yaml")).taxonomy


def _own_files(folder: Path) -> Iterator[Target]:
    aliases = b"name: a\nx: &a [1, 2]\ny: [*a, *a]\nz: !!python/object:os.system x\n"
    yield Target("taxonomy", [TAXONOMY, aliases], "bytes", _read_taxonomy, 60)
    as_json = json.dumps(_taxonomy().model_dump()).encode()
    yield Target("taxonomy, wrong types", [as_json], "json", _read_taxonomy, 25)
    labels = folder / "labels"
    labels.mkdir()
    (labels / "taxonomy.yaml").write_bytes(TAXONOMY)
    line = json.dumps(LABEL).encode()
    two = line + b"\n" + json.dumps({**LABEL, "id": "t", "source": "seed"}).encode() + b"\n"
    yield Target("labels", [line], "json", _bind(_read_labels, labels), 25)
    yield Target("labels, as bytes", [two], "bytes", _bind(_read_labels, labels), 25)
    changed = folder / "changed"
    changed.mkdir()
    (changed / "taxonomy.yaml").write_bytes(TAXONOMY)
    (changed / "seed.jsonl").write_bytes(line)
    renamed = TAXONOMY.decode().replace("study", "trial")
    step = {
        "change": {"operation": "rename", "facet": "kind", "tag": "study", "into": "trial"},
        "from_version": _taxonomy().version,
        "to_version": TaxonomyDocument(renamed, Path("taxonomy.yaml")).taxonomy.version,
        "time": "2026-02-01T00:00:00Z",
        "from_text": TAXONOMY.decode(),
        "to_text": renamed,
    }
    history = json.dumps(step).encode()
    yield Target("taxonomy history", [history], "json", _bind(_read_history, changed), 15)
    rows = json.dumps(_TAGS_ROW).encode()
    results = folder / "results"
    results.mkdir()
    yield Target("results for a report", [rows], "json", _bind(_read_results, results), 40)


def _read_taxonomy(content: bytes) -> None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    taxonomy = TaxonomyDocument(text, Path("taxonomy.yaml")).taxonomy
    assert taxonomy.version
    for facet in taxonomy.facets:
        facet.with_ancestors(facet.tag_names[-1:])


def _read_labels(folder: Path, content: bytes) -> None:
    (folder / "seed.jsonl").write_bytes(content)
    labels = LabelStore(folder).all_labels()
    merge_labels(labels, "majority")
    find_conflicts(labels)


def _read_history(folder: Path, content: bytes) -> None:
    (folder / "taxonomy_history.jsonl").write_bytes(content.replace(b"\n", b" ") + b"\n")
    (folder / "taxonomy.yaml").write_bytes(TAXONOMY)
    LabelStore(folder).all_labels()


def _read_results(folder: Path, content: bytes) -> None:
    from tagger.report.papers import gather_papers
    from tagger.report.results import read_result_folder, translate_results

    (folder / "tags.jsonl").write_bytes(content)
    found = translate_results(read_result_folder(folder), _taxonomy())
    for paper in gather_papers([found], [], "latest"):
        assert paper.status in ("not marked", "waiting")


# ------------------------------------------------------------------------------------ Label Studio


_ANNOTATED = [
    {
        "id": 3,
        "data": {
            "paper": "doi:10.1234/x",
            "title": "Boats",
            "abstract": SAID,
            "source": "a.txt, b.txt",
            "queue": "confused",
            "reason": "r",
        },
        "meta": {
            "model": "tagger/1",
            "tags": {"kind": ["survey"], "field": []},
            "shown": True,
            "queue": "confused",
            "facets": ["kind", "field"],
            "taxonomy": None,
        },
        "annotations": [
            {
                "unique_id": "u-1",
                "was_cancelled": False,
                "completed_by": 1,
                "updated_at": "2026-01-01T00:00:00Z",
                "lead_time": 2.5,
                "prediction": {"model_version": "tagger/1", "result": []},
                "result": [
                    {
                        "from_name": "kind",
                        "to_name": "Paper",
                        "type": "choices",
                        "value": {"choices": ["survey"]},
                    },
                    {
                        "from_name": "field",
                        "to_name": "Paper",
                        "type": "taxonomy",
                        "value": {"taxonomy": [["health", "heart"]]},
                    },
                    {"from_name": "Verdict", "value": {"choices": ["settles a disagreement"]}},
                    {"from_name": "Note", "value": {"text": ["a note"]}},
                ],
            }
        ],
    }
]


def _review(folder: Path) -> Iterator[Target]:
    from tagger.review.interface import build_interface

    config = build_interface(_taxonomy()).encode()
    bomb = (
        b'<!DOCTYPE View [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><View><Header>&b;</Header></View>'
    )
    yield Target("Label Studio interface", [config, bomb], "bytes", _adapt, 25)
    labels = folder / "pulled"
    labels.mkdir()
    (labels / "taxonomy.yaml").write_bytes(TAXONOMY)
    tasks = json.dumps(_ANNOTATED).encode()
    yield Target("Label Studio pull", [tasks], "json", _bind(_pull, labels), 20)
    asked = {"tasks": [{"id": 1, "data": _ANNOTATED[0]["data"]}], "params": {"context": {}}}
    finished = {"action": "ANNOTATION_CREATED", "task": _ANNOTATED[0], "annotation": {}}
    requests = [json.dumps(content).encode() for content in (asked, finished)]
    yield Target("backend requests", requests, "json", _backend(), 15)


def _adapt(content: bytes) -> None:
    from tagger.review.interface import adapt_interface, has_facet_of, is_review_interface

    text = content.decode("utf-8", "surrogateescape")
    adapted, changes = adapt_interface(text, _taxonomy(), lambda: {("kind", "old")})
    if changes:
        assert has_facet_of(adapted, _taxonomy())
        assert is_review_interface(adapted)


class _ExportedProject:
    key = "1/2026"

    def __init__(self, tasks: Any) -> None:
        self.tasks = tasks

    def annotators(self) -> dict[int, str]:
        return {1: "ann@lamps.invalid"}

    def annotated_tasks(self) -> Any:
        return self.tasks

    def task_ids(self) -> set[int]:
        return {3}

    def show_conflicts(self, tasks: Any, exported: Any) -> None:
        pass


def _pull(folder: Path, content: bytes) -> None:
    from tagger.review import pull_labels
    from tagger.review.tasks import read_export, tags_in_use

    try:
        # As ReviewProject.annotated_tasks does.
        tasks = read_export(content)
    except (ValueError, RecursionError):
        return
    (folder / "corrections.jsonl").unlink(missing_ok=True)
    tags_in_use(tasks)
    pull_labels(_ExportedProject(tasks), LabelStore(folder))  # type: ignore[arg-type]
    LabelStore(folder).labels("majority")


def _backend() -> Callable[[bytes], None]:
    from tagger.review import Credentials, make_backend

    sys.path.insert(0, str(TESTS))
    model = _small_model()
    credentials = Credentials(password="p")
    app = make_backend(lambda: model, credentials, lambda: None)
    loop = asyncio.new_event_loop()

    def ask(content: bytes) -> None:
        path = "/webhook" if b'"action"' in content else "/predict"
        headers = [
            (b"content-type", b"application/json"),
            (b"authorization", credentials.header.encode()),
        ]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        answer: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.append(message["status"])

        loop.run_until_complete(app(scope, receive, send))  # type: ignore[arg-type]
        assert answer[0] in (200, 400, 413, 422), answer

    return ask


# ------------------------------------------------------------------------------------------ models


def _small_model() -> Any:
    import tempfile

    from helpers.tiny_model import save_tiny_model

    from tagger.model import load_model

    with tempfile.TemporaryDirectory() as scratch:
        return load_model(save_tiny_model(Path(scratch) / "model", _taxonomy()))


def _models(folder: Path) -> Iterator[Target]:
    from helpers.tiny_model import save_tiny_model

    saved = save_tiny_model(folder / "model", _taxonomy())
    members = {path.name: path.read_bytes() for path in saved.iterdir()}
    packed = [archive_of(members)]
    yield Target("saved model", packed, "archive", _bind(_load, folder / "spoiled"), 6)


def _load(path: Path, content: bytes) -> None:
    """Load a model whose hashes are made to fit: what its parts hold must not be trusted."""
    from tagger.model import load_model, sha256_of
    from tagger.papers import Paper

    try:
        members = members_of(content)
    except Exception:
        return
    _write_folder(path, members)
    try:
        manifest = json.loads((path / "model.json").read_bytes())
        manifest["files"] = {name: sha256_of(path / name) for name in manifest["files"]}
        (path / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError, RecursionError, AttributeError):
        pass
    model = load_model(path)
    papers = [Paper("A survey of the court", SAID)]
    decide(papers, model.predict_proba(papers), model.taxonomy, model.name, ReviewRule())


@contextmanager
def good_ends() -> Iterator[None]:
    """Let an error that is meant for the user pass."""
    try:
        yield
    except TaggerError as error:
        str(error).encode("utf-8", "surrogatepass")
