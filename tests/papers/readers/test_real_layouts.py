"""Layouts that programs and services really write: all papers are read, and losses are named."""

import email.message
import email.policy
import io
import json
import zipfile

import pytest

from tagger.errors import TaggerError
from tagger.papers import collect_papers, read_papers

TIDES, BOOKS, LAMPS = "Tides of Text", "Half-Read Books", "Lamps on Quiet Wards"
ABOUT = "Text arrives in streams, and it drifts. We follow forty streams for a year."
SHORT = "We ask nine questions."


def described(paper):
    return paper.title, paper.abstract, paper.identifiers


def read(tmp_path, name, content):
    """Read a file; return the one file of the collection, its papers, and all that was refused."""
    path, problems = tmp_path / name, []
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    collection = collect_papers(path, problems.append)
    files = collection.files
    problems += [problem for file in files for problem in file.problems.values()]
    return files[0] if files else None, [*map(described, collection.papers)], problems, collection


def packed(name):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "x")
    return file.getvalue()


def mail(text, subtype="plain"):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["Date"] = "Ed <e@example.org>", "Mon, 16 Nov 2026 10:00:00 +0000"
    message.set_content(text, subtype=subtype)
    return message.as_bytes()


WOS = (
    "\ufeffFN Some Name\nVR 1.0\nPT J\nAU Reader, A\n   Writer, B\nTI Tides of\n   Text\n"
    f"AB {ABOUT[:40]}\n   {ABOUT[40:].strip()}\nDI 10.5555/Tides\nPM 39900011\nUT WOS:01\nER\n\n"
    f"PT J\nTI {BOOKS}\nUT MEDLINE:39900012\nER\n\nEF\n"
)
REFER = (
    f"%0 Journal Article\n%T {TIDES}\n%A Reader, Ann\n%R 10.5555/tides\n%X {ABOUT[:40]}\n"
    f"{ABOUT[40:].strip()}\n\n%0 Book\n%T {BOOKS}\n%U https://arxiv.org/abs/2101.00001\n"
)
ENDNOTE = (
    "<?xml version='1.0' encoding='UTF-8'?><xml><records><record><database name='a.enl'>a.enl"
    "</database><source-app name='EndNote' version='21'>EndNote</source-app><titles><title>"
    f"<style face='normal'>Tides of </style><style face='bold'>Text</style></title></titles>"
    f"<abstract><style>{ABOUT}</style></abstract><electronic-resource-num><style>10.5555/tides"
    f"</style></electronic-resource-num></record><record><rec-number>2</rec-number><titles><title>"
    f"{BOOKS}</title></titles></record></records></xml>"
)
ERIC = (
    f"OWN - ERIC\nTI  - {TIDES}\nAU  - Reader, Ann\nOID - EJ1\nAB  - {ABOUT[:40]}\n"
    f"      {ABOUT[40:].strip()}\nLID - https://doi.org/10.5555/tides\n\n"
    f"OWN - ERIC\nTI  - {BOOKS}\nOID - EJ2\n"
)
REFWORKS = (
    f"RT Journal Article\nSR Electronic(1)\nA1 Reader,Ann\nT1 {TIDES}\nYR 2026\nAB {ABOUT[:40]}\n"
    f"{ABOUT[40:].strip()}\nDO 10.5555/tides\n\nRT Book, Section\nSR Print(0)\nT1 {BOOKS}\n"
)
OVID_TAGGED = (
    f"<1. >\r\nVN  - Ovid Technologies\r\nDB  - Ovid MEDLINE(R)\r\nUI  - 39900011\r\n"
    f"TI  - {TIDES}\r\nAU  - Reader A\r\nIN  - (Reader) Old Town\r\n      (Writer) New Town\r\n"
    f"AB  - {ABOUT[:40]}\r\n{ABOUT[40:].strip()}\r\nDO  - http://dx.doi.org/10.5555/tides\r\n\r\n"
    f"<2. >\r\nVN  - Ovid Technologies\r\nDB  - Embase\r\nUI  - 39900012\r\nTI  - {BOOKS}\r\n"
)
OVID = (
    f"<1>\nUnique Identifier\n  39900011\nDatabase\n  Ovid MEDLINE(R)\nTitle\n  {TIDES}\nSource\n"
    f"  Ann Tides. 2026.\nAbstract\n  {ABOUT}\nDOI Number\n  10.5555/tides\n\n"
    f"<2>\nAccession Number\n  39900012\n\nTitle\n  {BOOKS}\n"
)
MODS = (
    "<?xml version='1.0'?><modsCollection xmlns='http://www.loc.gov/mods/v3'><mods><titleInfo>"
    "<nonSort>Tides of</nonSort><title>Text</title></titleInfo><titleInfo type='abbreviated'>"
    f"<title>T.</title></titleInfo><abstract>{ABOUT}</abstract><identifier type='doi'>10.5555/tides"
    "</identifier><relatedItem type='host'><titleInfo><title>Ann</title></titleInfo></relatedItem>"
    f"</mods><mods><titleInfo><title>{BOOKS}</title></titleInfo></mods></modsCollection>"
)
WITHOUT_KEY = (
    f"@article{{\n title={{{TIDES}}},\n abstract={{{ABOUT}}}, doi={{10.5555/tides}}}}\n"
    f"@misc(title={{{BOOKS}}})\n"
)
UNTYPED_RIS = f"TI  - {TIDES}\nAB  - {ABOUT}\nER  - \n\nTI  - {BOOKS}\nAU  - A\nER  - \n"
TYPE_LAST = (
    f"DB  - X\nAB  - {ABOUT}\nTY  - JOUR\nTI  - {TIDES}\nL3  - 10.5555/tides\nER  - \n\n"
    f"DB  - X\nAB  - {SHORT}\nTY  - JOUR\nT1  - {BOOKS}\nER  - \n"
)
UNCLOSED = (
    f"TY  - JOUR\nTI  - {TIDES}\nAB  - {ABOUT}\nDO  - 10.5555/tides\n\nTY  - JOUR\nTI  - {BOOKS}\n"
)
PUBMED = (
    f"1. Ann Tides. 2026 Feb;10(2):1-9. doi: 10.5555/tides. Epub 2026 Jan 1.\n\n{TIDES}\n\n"
    f"Reader A(1), Writer B.\n\nAuthor information:\n(1)Dept of Tides.\n\n{ABOUT}\n\n"
    f"Copyright X.\n\nDOI: 10.5555/tides\nPMID: 39900011 [Indexed]\n\n\n2. J B. 2026;3:1.\n\n"
    f"{BOOKS}\n\nPMID: 39900012\n"
)
SUMMARY = (
    f"1: Reader A, Writer B. {TIDES}. Ann Tides. 2026 Feb;10(2):1-9. doi: 10.5555/tides. PMID: "
    f"39900011.\n\n2: Poet D. {BOOKS}? J B. 2026;3:1. PMID: 39900012.\n"
)
NCBI = (
    "This message contains My NCBI what's new\n\nItems 1 - 2 of 2\n\n"
    f"1. {TIDES}\nReader A, Writer B.\nAnn Tides. 2026 Feb;10(2):1-9. doi: 10.5555/tides.\n"
    f"PMID: 39900011\nAbstract\n{ABOUT}\n\n2. {BOOKS}\nPoet D.\nJ B. 2026;3:1.\nPMID: 39900012\n"
)
NEP = (
    f"nep-cul New Economics Papers\nIssue of 2026-11-27\n\n1. {TIDES} By Reader, Ann\n"
    f"2. {BOOKS} By Poet, Gil\n----------\n1. By: Reader, Ann (Harbour)\n   Abstract: {ABOUT}\n"
    "   Keywords: tides\n   URL: http://d.repec.org/n?u=RePEc:a:b:1&r=cul\n"
    f"2. {BOOKS}\n\n    Poet, Gil\n\n{SHORT}\n\nDate: 2026-10\n"
)
LISTING = (
    f"-----\n\\\\\narXiv:2611.00011\nDate: Fri, 27 Nov 2026 00:16:29 GMT   (1kb)\n\nTitle: Tides "
    f"of\n  Text\nAuthors: A\nCategories: cs.CL\n\\\\\n  {ABOUT}\n"
    "\\\\ ( https://arxiv.org/abs/2611.00011 , 1kb)\n"
    f"-----\n\\\\\narXiv:2611.00012 (*cross-listing*)\nDate: Thu, 26 Nov 2026\n\nTitle: {BOOKS}\n"
    f"DOI: 10.5555/books\n\\\\\n  {SHORT}\n\\\\ ( x , 1kb)\n%-%-%-%-\n"
    "\\\\\narXiv:2505.00014\nreplaced with revised version Fri\n\nTitle: Rails\n\\\\ ( x , 1kb)\n"
)
LISTED = [
    (TIDES, ABOUT, ("arxiv:2611.00011",)),
    (BOOKS, SHORT, ("doi:10.5555/books", "arxiv:2611.00012")),
]
SCHOLAR = "<html><body>" + "".join(
    f"<h3><span>[PDF]</span> <a class='gse_alrt_title' href='https://scholar.google.com/scholar_url?"
    f"url=https://arxiv.org/pdf/2611.0001{n}&amp;hl=en'>{title}</a></h3><div>A. Reader, B. "
    f"Writer - Ann. T., 2026</div><div class='gse_alrt_sni'>{text}</div><a href='x'>Save</a>"
    for n, title, text in [(1, TIDES, ABOUT), (2, BOOKS, SHORT)]
)
PUBMED_HTML = "<html><body><h2>My NCBI</h2>" + "".join(
    f"<div><a href='https://pubmed.ncbi.nlm.nih.gov/3990001{n}/?u=1'>{title}</a></div><div>Reader A"
    f"</div><div>Ann Tides. 2026.</div><div>{text}</div>"
    for n, title, text in [(1, TIDES, ABOUT), (2, LAMPS, "")]
)
CHINESE = (
    "\u6bcf\u65e5\u8bba\u6587\n\n2026\u5e7411\u670827\u65e5\n\n\u6f6e\u6c50\u6587\u672c\n\n"
    + "\u6587\u672c\u662f\u6d41\u52a8\u7684\u3002\u6211\u4eec\u8ddf\u8e2a\u5b83\u3002" * 3
    + "\n\n\u534a\u8bfb\u4e4b\u4e66\n\n"
    + "\u6211\u4eec\u63d0\u51fa\u4e5d\u4e2a\u95ee\u9898\u3002\u7136\u540e\u56de\u7b54\u3002"
)
OPENALEX = {
    "meta": {"count": 3},
    "results": [
        {
            "id": "https://openalex.org/W11",
            "display_name": TIDES,
            "doi": "https://doi.org/10.5555/tides",
            "abstract_inverted_index": {"tides": [1, 3], "Of": [0], "and": [2]},
        },
        {"id": "https://openalex.org/W12", "title": None},
    ],
}
SEMANTIC_SCHOLAR = {
    "total": 2,
    "data": [
        {"paperId": "ab" * 20, "externalIds": {"CorpusId": 7, "PubMed": "12"}, "title": TIDES},
        {"paperId": "cd" * 20, "title": BOOKS, "abstract": SHORT, "references": [{"title": "x"}]},
    ],
}
CROSSREF = {
    "message": {
        "items": [{"DOI": "10.5555/tides", "title": [TIDES], "abstract": "<jats:p>A.</jats:p>"}]
    }
}
ZOTERO = [
    {
        "key": "A",
        "data": {"itemType": "book", "title": TIDES, "abstractNote": ABOUT, "extra": "PMID: 12"},
    },
    {"key": "B", "data": {"itemType": "attachment", "title": "PDF"}},
]
BETTER_BIBTEX = {
    "config": {"id": "x"},
    "items": [{"title": TIDES, "abstractNote": ABOUT, "DOI": "10.5555/tides"}],
}
DATACITE = {
    "data": {
        "id": "10.5555/tides",
        "attributes": {
            "doi": "10.5555/tides",
            "titles": [{"title": TIDES}, {"title": "Marées", "titleType": "TranslatedTitle"}],
            "descriptions": [
                {"description": "Volume 7", "descriptionType": "SeriesInformation"},
                {"description": ABOUT, "descriptionType": "Abstract"},
            ],
        },
    },
    "meta": {"states": [{"id": "findable", "title": "Findable"}]},
}
INSPIRE = {
    "hits": {
        "hits": [
            {
                "metadata": {
                    "titles": [{"title": TIDES}],
                    "abstracts": [{"value": ABOUT}],
                    "dois": [{"value": "10.5555/tides"}],
                }
            },
            {"metadata": {"titles": [{"title": BOOKS}]}},
        ]
    }
}
HAL = {
    "response": {
        "docs": [
            {"title_s": [TIDES, "Marées"], "abstract_s": [ABOUT], "doiId_s": "10.5555/tides"},
            {"title_s": [BOOKS]},
        ]
    }
}
SCOPUS = {
    "search-results": {
        "entry": [
            {"dc:title": TIDES, "dc:description": ABOUT, "prism:doi": "10.5555/tides"},
            {"dc:title": BOOKS},
        ]
    }
}
DOAJ = {
    "results": [
        {"bibjson": {"title": TIDES, "identifier": [{"type": "DOI", "id": "10.5555/tides"}]}}
    ]
}
# Digital Commons writes the title above the type.
TITLE_FIRST = (
    f"%T {TIDES}\n%0 Journal Article\n%X {ABOUT}\n%R 10.5555/tides\n\n%T {BOOKS}\n%0 Book\n"
)
BELOW_TEXT = (
    f"Search results, page 1\n\n@article{{a,\n title={{{TIDES}}}, abstract={{{ABOUT}}},\n "
    f"doi={{10.5555/tides}}\n}}\nFirst published in 1920\n@book{{b, title={{{BOOKS}}}}}\n"
)
# Scopus repeats the text about funding, but not the name of its column.
SURPLUS = (
    "Title,DOI,Abstract,Funding Text 1,ISSN,PubMed ID,EID\n"
    f'"{TIDES}","10.5555/tides","{ABOUT}","We thank A.","We thank B.","12345678","39900011",'
    f'"2-s2.0-1"\n"{BOOKS}",,,,,,"2-s2.0-2"\n'
)
ARTICLE = (
    f'<?xml version="1.0"?><html><head><meta name="citation_title" content="{TIDES}"/><meta name>'
    '<meta content="10.5555/tides" name="Citation_DOI"/></head><body><h1>A Journal</h1>'
    f"<h2>Metrics</h2><h2>Abstract</h2><p>{ABOUT} {ABOUT}</p><h2>Funding</h2><p>{ABOUT} {SHORT}"
    "</p></body></html>"
)
OF_ENDNOTE = (
    f"TY  - JOUR\nTI  - {TIDES}\nAB  - {ABOUT}\nN1  - No field of Zotero:<br/>"
    "electronic-resource-num: 10.5555/tides<br/>isbn: 1\nER  - \n\n"
    f"TY  - BOOK\nTI  - {BOOKS}\nER  - "
)
DOI, PMID = "doi:10.5555/tides", "pmid:39900011"
BOTH = [(TIDES, ABOUT, (DOI,)), (BOOKS, "", ())]
IN_PUBMED = [(TIDES, ABOUT, (DOI, PMID)), (BOOKS, "", ("pmid:39900012",))]


@pytest.mark.parametrize(
    ("name", "content", "kind", "papers"),
    [
        ("savedrecs.txt", WOS, "wos", IN_PUBMED),
        ("a.enw", REFER, "refer", [BOTH[0], (BOOKS, "", ("arxiv:2101.00001",))]),
        ("a.xml", ENDNOTE, "endnote-xml", BOTH),
        ("a.txt", REFWORKS, "refworks", BOTH),
        ("a.txt", OVID_TAGGED, "ris", [(TIDES, ABOUT, (DOI, PMID)), BOTH[1]]),
        ("a.txt", OVID, "ovid", [(TIDES, ABOUT, (DOI, PMID)), BOTH[1]]),
        ("a.xml", MODS, "mods-xml", BOTH),
        ("a.bib", WITHOUT_KEY, "bibtex", BOTH),
        ("a.nbib", ERIC, "nbib", BOTH),
        ("a.ris", UNTYPED_RIS, "ris", [(TIDES, ABOUT, ()), BOTH[1]]),
        ("a.ris", TYPE_LAST, "ris", [BOTH[0], (BOOKS, SHORT, ())]),
        ("a.ris", TYPE_LAST.replace("  - ", " - "), "ris", [BOTH[0], (BOOKS, SHORT, ())]),
        ("a.ris", UNCLOSED, "ris", BOTH),
        ("a.txt", PUBMED, "pubmed-text", IN_PUBMED),
        (
            "a.txt",
            SUMMARY,
            "pubmed-text",
            [(f"{TIDES}.", "", (DOI, PMID)), (f"{BOOKS}?", "", ("pmid:39900012",))],
        ),
        ("a.eml", mail(NCBI), "mail", IN_PUBMED),
        ("a.txt", NEP, "nep", [(TIDES, ABOUT, ()), (BOOKS, SHORT, ())]),
        ("a.txt", LISTING, "arxiv-listing", LISTED),
        ("a.eml", mail(LISTING), "mail", LISTED),
        (
            "a.eml",
            mail(SCHOLAR, "html"),
            "mail",
            [(TIDES, ABOUT, ("arxiv:2611.00011",)), (BOOKS, SHORT, ("arxiv:2611.00012",))],
        ),
        ("a.html", PUBMED_HTML, "html", [(TIDES, ABOUT, (PMID,)), (LAMPS, "", ("pmid:39900012",))]),
        ("a.json", json.dumps(CROSSREF), "json", [(TIDES, "A.", (DOI,))]),
        ("a.json", json.dumps(DATACITE), "json", BOTH[:1]),
        ("a.json", json.dumps(INSPIRE), "json", BOTH),
        ("a.json", json.dumps(HAL), "json", BOTH),
        ("a.json", json.dumps(SCOPUS), "json", BOTH),
        ("a.json", json.dumps(DOAJ), "json", [(TIDES, "", (DOI,))]),
        ("a.enw", TITLE_FIRST, "refer", BOTH),
        ("a.bib", BELOW_TEXT, "bibtex", BOTH),
        ("a.csv", SURPLUS, "csv", [(TIDES, ABOUT, (DOI, PMID)), BOTH[1]]),
        ("a.html", ARTICLE, "html", [(TIDES, f"{ABOUT} {ABOUT}", (DOI,))]),
        (
            "a.html",
            ARTICLE.replace("A Journal", TIDES).replace("<h2>Metrics</h2><h2>Abstract</h2>", ""),
            "html",
            [(TIDES, f"{ABOUT} {ABOUT}", (DOI,))],
        ),
        ("a.ris", OF_ENDNOTE, "ris", BOTH),
        (
            "a.csv",
            f"openalex_id,title\nhttps://openalex.org/W7,{TIDES}\n",
            "csv",
            [(TIDES, "", ("openalex:w7",))],
        ),
        ("a.json", json.dumps(ZOTERO), "json", [(TIDES, ABOUT, ("pmid:12",))]),
        ("a.json", json.dumps(BETTER_BIBTEX, indent=1), "json", [(TIDES, ABOUT, (DOI,))]),
        (
            "a.json",
            json.dumps(SEMANTIC_SCHOLAR),
            "json",
            [
                (TIDES, "", ("pmid:12", f"s2:{'ab' * 20}", "corpusid:7")),
                (BOOKS, SHORT, (f"s2:{'cd' * 20}",)),
            ],
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_papers_are_read_whatever_the_name_and_the_encoding(
    tmp_path, name, content, kind, papers, encoding
):
    if isinstance(content, str):
        content = content.removeprefix("\ufeff").encode(encoding)
    for path in (name, "renamed.dat"):
        file, found, problems, _ = read(tmp_path, path, content)
        assert (file and file.format, found, problems) == (kind, papers, [])


def test_an_answer_of_an_api_is_read_and_the_rest_of_its_pages_missed(tmp_path):
    for indent in (None, 1):
        text = json.dumps(OPENALEX, indent=indent)
        file, papers, problems, _ = read(tmp_path, "a.json", text)
        assert papers == [(TIDES, "Of tides and tides", (DOI, "openalex:w11"))]
        assert [problem.line for problem in problems] == [
            text[: text.index("W12")].count("\n") + (indent is None or 0)
        ]
        assert any("2 of 3 papers" in notice for notice in file.notices)
    line = json.dumps(OPENALEX["results"][0])
    assert read(tmp_path, "a.jsonl", f"{line}\n{line}\n")[1] == papers


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_chinese_and_japanese_pages_are_read(tmp_path, encoding):
    file, papers, problems, _ = read(tmp_path, "a.txt", CHINESE.encode(encoding))
    assert (file.format, problems) == ("digest", [])
    assert [title for title, _, _ in papers] == [
        "\u6f6e\u6c50\u6587\u672c",
        "\u534a\u8bfb\u4e4b\u4e66",
    ]
    assert all(abstract.endswith("\u3002") for _, abstract, _ in papers)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_encodings_are_found_with_and_without_a_mark(tmp_path, encoding):
    text = f"TY  - JOUR\r\nTI  - Caf\u00e9 \u6f6e\r\nAB  - {ABOUT}\r\nER  - \r\n"
    assert read(tmp_path, "a.ris", text.encode(encoding))[1] == [("Caf\u00e9 \u6f6e", ABOUT, ())]


def test_a_declared_encoding_is_used(tmp_path):
    text = "% Encoding: windows-1252\n@misc{a, title = {Caf\u00e9 \u2013 one}}\n"
    assert read(tmp_path, "a.bib", text.encode("cp1252"))[1] == [("Caf\u00e9 \u2013 one", "", ())]


def test_several_digests_in_a_mailbox_are_read_and_letters_are_named(tmp_path):
    letters = [mail(LISTING), mail("Dear all,\n\nsee you."), mail(SCHOLAR, "html")]
    box = b"\n".join(
        b"From e@example.org Mon Nov 16 10:00:00 2026\n" + each.replace(b"\r\n", b"\n")
        for each in letters
    )
    file, papers, [problem], _ = read(tmp_path, "a.mbox", box)
    assert file.format == "mail"
    assert [title for title, _, _ in papers] == [TIDES, BOOKS]
    assert problem.line == letters[0].count(b"\n") + 3
    assert any("replaced" in notice for notice in file.notices)


@pytest.mark.parametrize(
    ("name", "content", "good", "lines"),
    [
        (
            "a.ris",
            f"TY  - A\nTI  - {TIDES}\nER  - \nTY  - A\nAU  - x\nER  - \nTY  - A\nER  - \n",
            1,
            [4, 7],
        ),
        (
            "a.bib",
            f"@a{{b, title={{{TIDES}}}}}\n@a{{c, title={{x}} year=1}}\n@a{{d,\n title {{x}}}}\n"
            f"@a{{e, title={{{BOOKS}}}}}\n",
            2,
            [2, 3],
        ),
        (
            "a.json",
            f'[{{"title": "{TIDES}"}},\n{{"title": "x" "y"}},\n{{"title": "{BOOKS}"}}]',
            2,
            [2],
        ),
        ("a.json", f'[{{"title": "{TIDES}"}},\n{{"title": "{BOOKS}"}},\n{{"tit', 2, [3]),
        (
            "a.json",
            f'{{"meta": {{"n": 9}},\n"results": [\n{{"title": "{TIDES}", "x": [{{"title": "y"}}]'
            f'}},\n{{"title": "{BOOKS}"}},\n{{"title": "x", "by": [{{"title": "y"}}, {{"title": "',
            2,
            [5],
        ),
        (
            "a.json",
            f'{{"message":{{"items":[{{"title":["{TIDES}"]}},{{"title" "x"}},'
            f'{{"title":["{BOOKS}"]}}]}}}}',
            2,
            [1],
        ),
        ("a.json", f'{{"data":[{{"title":"{TIDES}"}}],\n"total":}}', 1, [2]),
        (
            "a.jsonl",
            f'{{"refs": [{{"title": "x"}}], "title": "y\n{{"title": "{TIDES}"}}\n',
            1,
            [1],
        ),
        ("a.csv", f"title,abstract\n{TIDES},x\ny,z,z,z\n{BOOKS},\n", 2, [3]),
        (
            "a.csv",
            f'title,abstract\n"{TIDES}","of "a", "b""\n"x","y\n"{BOOKS}","{SHORT}"\n',
            2,
            [3],
        ),
        (
            "a.csv",
            f"title,abstract\n{TIDES},x\n".encode() + b"caf\xe9,y\n" + f"{BOOKS},\u00e9".encode(),
            2,
            [3],
        ),
        ("a.txt", f"{TIDES}\n\n{ABOUT}\n\n{ABOUT * 6}\n\n{BOOKS}\n\n{ABOUT}", 2, [5]),
    ],
)
def test_bad_records_are_all_listed_and_cost_no_good_one(tmp_path, name, content, good, lines):
    _, papers, problems, _ = read(tmp_path, name, content)
    assert [title for title, _, _ in papers] == [TIDES, BOOKS][:good]
    assert [problem.line for problem in problems] == lines


def test_a_title_without_abstract_is_tagged_and_named_once(tmp_path):
    page = f"Nov 16\n\n{TIDES}\n\n{ABOUT}\n\n{BOOKS}\n\n{LAMPS}\n\n{ABOUT}\n"
    file, papers, problems, _ = read(tmp_path, "a.txt", page)
    assert [(title, bool(text)) for title, text, _ in papers] == [
        (TIDES, True),
        (BOOKS, False),
        (LAMPS, True),
    ]
    assert not problems
    assert len(file.notices) == 1
    assert "1 of 3" in file.notices[0]
    assert BOOKS in file.notices[0]
    rows = [f'{{"title": "{n}", "abstract": "{"x" * (n > 2)}"}}' for n in range(5)]
    assert len(read(tmp_path, "a.jsonl", "\n".join(rows))[0].notices) == 1
    assert not read(tmp_path, "a.jsonl", "\n".join(rows[1:]))[0].notices


@pytest.mark.parametrize(
    ("content", "looks_like"),
    [
        (
            f"<xml><records><record><titles><title>{TIDES}</title></titles></record></records></xml>",
            "XML",
        ),
        ("<?xml version='1.0'?>\n<awards><award>x</award></awards>", "<awards>"),
        (
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:b="b">'
            f"<b:Article><b:title>{TIDES}</b:title></b:Article></rdf:RDF>",
            "<rdf>",
        ),
        (packed("word/document.xml"), "ZIP archive"),
        (f"title: {TIDES}\nabstract: x\n\ntitle: {BOOKS}\nabstract: y", "YAML"),
        (f"Dear all,\n\n{SHORT}\n\nYours", "no titles with abstracts"),
        (f"Dear user,\n\n{ABOUT} {SHORT}\n\nA note on the data:\n\n{ABOUT}", "no titles"),
        (f"The MIT License\n\nPermission is hereby granted, free. {ABOUT}", "no titles"),
        (f"Some Public License\n\nSee license version 2.0 for this. {ABOUT}", "no titles"),
        (f"# ALIGNMENT 1.0\n\n#=GF ID a\n#=GF DE b c d. e f. g.\n#=GF CC {ABOUT}", "no titles"),
        ("\\documentclass{article}\n\\begin{document}\nx\n\\end{document}\n\\section{x}", "LaTeX"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        ("", "empty"),
    ],
)
def test_unknown_texts_are_refused_with_what_they_look_like(tmp_path, content, looks_like):
    file, papers, problems, _ = read(tmp_path, "a.txt", content)
    assert (file, papers, len(problems)) == (None, [], 1)
    assert looks_like in str(problems[0])


def test_a_digest_about_licences_is_read(tmp_path):
    about = f"A checker finds license violations in code. {ABOUT}"
    page = f"{TIDES}\n\n{about}\n\n{LAMPS}\n\n{ABOUT}\n"
    assert [title for title, *_ in read(tmp_path, "a.txt", page)[1]] == [TIDES, LAMPS]


def test_a_digest_may_begin_with_a_name_and_a_colon(tmp_path):
    title = "EchoField: A Corpus of Whispered Speech"
    page = f"\n{title}\n\n{ABOUT}\n\n{LAMPS}\n\n{ABOUT}\n"
    assert [found for found, *_ in read(tmp_path, "a.txt", page)[1]] == [title, LAMPS]


def test_doubtful_identifiers_are_reported_and_join_nothing(tmp_path):
    chapters = "".join(
        f"TY  - CHAP\nTI  - {title}\nAB  - {text}\nDO  - 10.5555/book\nER  - \n"
        for title, text in [("Introduction", ""), (TIDES, ABOUT), (LAMPS, SHORT)]
    )
    collection = read(tmp_path, "a.ris", chapters)[-1]
    assert [paper.abstract for paper in collection.papers] == ["", ABOUT, SHORT]
    assert len({paper.id for paper in collection.papers}) == 3
    [notice] = collection.notices
    assert "3 papers" in notice
    assert "doi:10.5555/book" in notice


def test_entries_that_are_no_works_are_passed_over(tmp_path):
    text = (
        f"@xdata{{x, publisher={{P}}}}\n@set{{s, entryset={{a}}}}\n@misc{{a, title={{{TIDES}}}}}\n"
    )
    assert read(tmp_path, "a.bib", text)[1:3] == ([(TIDES, "", ())], [])


def test_a_folder_cloned_from_the_hub_is_read(tmp_path):
    from tagger.papers.readers.storage import find_files

    (tmp_path / "data").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("README.md", ".gitattributes", ".git/HEAD", "dataset_infos.json"):
        (tmp_path / name).write_text("x")
    for name in ("train.csv", "test.csv"):
        (tmp_path / "data" / name).write_text(f"title,abstract\n{TIDES},{SHORT}\n")
    places = [file.place for file in find_files([str(tmp_path)])]
    assert len(places) == 2
    assert len(list(read_papers(places))) == 2
    assert [file.place for file in find_files([f"{tmp_path}/**/t*.csv"])] == places
    with pytest.raises(TaggerError, match="no such file"):
        find_files([f"{tmp_path}/*.csv"])
