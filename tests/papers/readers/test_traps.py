"""Hostile files: they take very long to parse, fill the memory, or refer to outside files.

No time is asserted: without the limits, each of the long files takes minutes.
"""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.reading import workbook

from tagger.errors import TaggerError
from tagger.papers import collect_papers, read_papers
from tagger.papers.readers import formats
from tagger.papers.readers.cleaning import clean_text
from tagger.papers.readers.identifiers import normal_arxiv, normal_doi
from tagger.papers.readers.markup import read_markup
from tagger.tagging.writers.keywords import write_with_keywords

MANY = 300_000
TWO = "We look. And see."
HIDDEN = "\u061c\u200e\u202e\u2066\u206f\ufeff\ud800\udfff\ufff9\ufffe\U000e0041\x1b\x9b\x00"


def read(tmp_path, name, content):
    path = tmp_path / "given"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_papers([path], format_name=name))


@pytest.mark.parametrize(
    ("name", "content", "papers"),
    [
        ("digest", f"Mar 12\n\nA\n\n{TWO}\n\n" + "Mar 13\n\n" * (MANY // 4), 1),
        ("csv", "title" + "," * MANY + "\nA" + "," * MANY, 1),
        ("json", "\n".join(f'{{"title": "A", "k{n}": 1}}' for n in range(MANY // 10)), MANY // 10),
        ("nbib", "PMID- 1\nTI  - A\n" + " a\n" * MANY, 1),
        ("ris", "TY  - A\nTI  - a\n" + "a\n" * MANY + "ER  - \n", 1),
        ("json", json.dumps({"title": "A", "doi": "10.1234/" + ")" * MANY}), 1),
        ("json", json.dumps({"title": "A", "doi": "10.1234/" + "." * MANY}), 1),
        ("json", json.dumps({"title": "A", "arxiv": "a-" * MANY}), 1),
        ("json", json.dumps({"title": "A", "abstract": "e" + "\u0301\u0316" * MANY}), 1),
    ],
)  # fmt: skip
def test_long_lines_and_fields_are_read(tmp_path, name, content, papers):
    assert len(read(tmp_path, name, content)) == papers


@pytest.mark.parametrize("opening", ["<div>", "<b>a", "<div>a", "<nav>", "<p>a"])
def test_deeply_nested_pages_are_read(opening):
    blocks = read_markup("<html><body>" + opening * 50_000).blocks
    assert "".join(block.text for block in blocks).count("a") == 50_000 * opening.endswith("a")


@pytest.mark.parametrize(
    "field",
    [
        "Content-Type: text/plain; " + "a=b;" * MANY,
        "Content-Type: text/plain; charset=" + '"' * MANY,
        "Content-Disposition: " + "(" * MANY,
        "Content-Type: " + "=?utf-8?q?a?= " * MANY,
        "Content-Type: text/plain; charset=punycode",
    ],
)
def test_hostile_mail_headers_are_refused(tmp_path, field):
    mail = f"From: a@b.invalid\nDate: x\n{field}\n\nA title\n\n{TWO} {'a' * MANY}-b\n"
    path, problems = tmp_path / "given", []
    path.write_text(mail)
    papers = list(read_papers([path], problems.append, format_name="mail"))
    assert [paper.title for paper in papers] == ["A title"] * (not problems)
    assert all("cannot be read as an e-mail" in str(problem) for problem in problems)


def test_mail_with_too_many_parts_is_refused(tmp_path):
    head = 'From: a\nDate: x\nContent-Type: multipart/mixed; boundary="x"\n\n'
    with pytest.raises(TaggerError, match="more than 100 parts"):
        read(tmp_path, "mail", head + "--x\n\nA\n" * 5000)


def test_nested_bibtex_strings_are_refused(tmp_path):
    strings = ["@string{s0 = {aaaaaaaaaaaaaaaaaaaa}}"]
    strings += [f"@string{{s{n} = {' # '.join([f's{n - 1}'] * 10)}}}" for n in range(1, 9)]
    with pytest.raises(TaggerError, match=r":4: the string 's3' has 20,000 characters"):
        read(tmp_path, "bibtex", "\n".join([*strings, "@a{k, title = s8}"]))
    once = "@string{s = {" + "a" * 1000 + "}}\n@a{k, title = {A}, abstract = "
    [paper] = read(tmp_path, "bibtex", once + " # ".join(["s"] * 9999) + "}")
    assert len(paper.abstract) < 100_000


@pytest.mark.parametrize("name", ["feed", "pubmed-xml"])
@pytest.mark.parametrize(
    "declared",
    ['<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;">', '<!ENTITY b SYSTEM "file:///etc/passwd">'],
)
def test_entities_are_refused(tmp_path, name, declared):
    text = f"<!DOCTYPE x [{declared}]><rss><channel><item><title>&b;</title></item></channel></rss>"
    for encoding in ("utf-8", "utf-16"):
        with pytest.raises(TaggerError, match=r"XML entities|not valid XML"):
            read(tmp_path, name, text.encode(encoding))


def changed_workbook(change):
    """Return a workbook of one paper with a changed sheet and a file outside its folder."""
    packed = io.BytesIO()
    given = io.BytesIO(workbook(("Title", "Abstract"), ("A", "b")))
    with zipfile.ZipFile(given) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name.endswith("sheet1.xml") else content)
        new.writestr("../../evil.xml", b"x")
    return packed.getvalue()


END = b"</sheetData>"


def test_decompression_bombs_are_refused(tmp_path):
    with pytest.raises(TaggerError, match=r"80 MB unpacked, \d+ times the size"):
        read(tmp_path, "excel", changed_workbook(lambda sheet: sheet + b" " * 80_000_000))


def test_missing_rows_and_far_cells_are_ignored(tmp_path):
    last = b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>z</t></is></c></row>'
    far = b"".join(b'<row r="%d"><c r="XFD%d"/></row>' % (n, n) for n in range(3, 5000))
    content = changed_workbook(lambda sheet: sheet.replace(END, far + last + END))
    assert [paper.title for paper in read(tmp_path, "excel", content)] == ["A"]
    assert not (tmp_path.parent / "evil.xml").exists()


@pytest.mark.parametrize("declared", ['"aa"', 'SYSTEM "file:///etc/passwd"'])
def test_a_workbook_with_entities_is_refused(tmp_path, declared):
    row = b'<row r="3"><c r="A3" t="inlineStr"><is><t>&a;</t></is></c></row>'
    head = f"<!DOCTYPE x [<!ENTITY a {declared}>]>".encode()
    content = changed_workbook(lambda sheet: head + sheet.replace(END, row + END))
    with pytest.raises(TaggerError, match="cannot be read as an Excel workbook"):
        read(tmp_path, "excel", content)


def test_parquet_file_with_repeated_rows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "_FREE_TEXT", 10**6)
    monkeypatch.setattr(formats, "_MAX_RATIO", 1)
    rows, texts = tmp_path / "rows", tmp_path / "texts"
    pq.write_table(pa.table({"title": ["the same"] * 500_000}), rows)
    with pytest.raises(TaggerError, match="declares 500,000 rows"):
        list(read_papers([rows]))
    title = pa.array(["ab " * 200_000]).dictionary_encode()
    same = pa.DictionaryArray.from_arrays(pa.array([0] * 900, pa.int32()), title.dictionary)
    pq.write_table(pa.table({"title": same}), texts, compression="zstd")
    assert texts.stat().st_size < 100_000
    with pytest.raises(TaggerError, match="far larger than the file"):
        list(read_papers([texts]))


def test_parquet_file_with_broken_statistics_is_read():
    # Found by the fuzzer: its statistics are broken, and pyarrow ended whoever asked for them.
    path = Path(__file__).with_name("broken_statistics.parquet")
    code = "import sys; from tagger import read_papers; print(len([*read_papers(sys.argv[1])]))"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.stdout == "2\n", done.stderr


@pytest.fixture
def saved(tmp_path):
    datasets.Dataset.from_dict({"title": ["A"]}).save_to_disk(tmp_path / "set")
    return tmp_path / "set"


@pytest.mark.parametrize("name", ["../elsewhere.arrow", "/etc/passwd", "..", "a\\b", "", None, 7])
def test_data_set_naming_outside_files_is_refused(saved, name):
    state = json.loads((saved / "state.json").read_text())
    state["_data_files"] = [{"filename": name}]
    (saved / "state.json").write_text(json.dumps(state))
    with pytest.raises(TaggerError, match="names a file outside"):
        list(read_papers([saved]))


def test_data_set_with_outside_links_is_refused(saved):
    [data] = saved.glob("*.arrow")
    data.rename(saved.parent / "moved.arrow")
    data.symlink_to(saved.parent / "moved.arrow")
    with pytest.raises(TaggerError, match="is a link"):
        list(read_papers([saved]))
    (saved.parent / "all").mkdir()
    (saved.parent / "all" / "dataset_dict.json").write_text('{"splits": ["../set"]}')
    with pytest.raises(TaggerError, match="names a file outside"):
        list(read_papers([saved.parent / "all"]))


def test_invisible_characters_are_removed_from_titles():
    number = "1" * 5000
    assert clean_text(f"A&#{number};b &#65;") == "A\ufffdb A"
    assert normal_doi(f"10.1234/a&#{number};") == "doi:10.1234/a\ufffd"
    assert normal_doi("10.1234/a\udcff") is None
    assert clean_text("".join(f"a{hidden}" for hidden in HIDDEN)) == " ".join("a" * len(HIDDEN))
    assert clean_text("&#x202e;&amp;#27;[31m") == "[31m"


@pytest.mark.parametrize(
    ("normal", "text", "latin"),
    [
        (normal_doi, "10.1234/\u0430bc", "10.1234/abc"),  # Cyrillic
        (normal_doi, "10.1234/ａbc", "10.1234/abc"),
        (normal_arxiv, "２101.00001", "2101.00001"),
    ],
)
def test_look_alike_characters_make_other_identifiers(normal, text, latin):
    assert normal(text) != normal(latin) is not None


def test_file_names_cannot_leave_the_output_folder(tmp_path, taxonomy):
    folder = tmp_path / "in"
    folder.mkdir()
    names = ["..bib", "\\..\\evil.bib", "-rf.bib", "\x1b]0;x.bib", "a\nb.bib", "é\u202e.bib"]
    for name in names:
        (folder / name).write_text("@a{k, title={A}}\n", encoding="utf-8")
    read = collect_papers(sorted(folder.iterdir()), format_name="bibtex")
    written = write_with_keywords(
        read, [{"kind": ["survey"], "field": []}], taxonomy, tmp_path / "out"
    )
    assert len(written) == len(names)
    assert {path.resolve().parent for path in written} == {(tmp_path / "out").resolve()}
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
