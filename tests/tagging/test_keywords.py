"""A library comes back as it was, but for the tags among its keywords."""

import json
import re
from pathlib import Path

import bibtexparser
import pytest
import rispy
from helpers.samples import json_lines, page, run
from hypothesis import given
from hypothesis import strategies as st

from tagger.papers import collect_papers, read_papers
from tagger.tagging.writers.bibtex import add_bibtex_keywords
from tagger.tagging.writers.keywords import WRITTEN_FILE, write_with_keywords
from tagger.tagging.writers.ris import add_ris_keywords

EXPORTS = Path(__file__).parents[1] / "papers" / "readers" / "exports"
OURS = re.compile(r"(?:kind|field): [a-z0-9][a-z0-9_-]*")
NEW = ["kind: survey", "field: health"]
LIBRARIES = sorted([*EXPORTS.glob("*.bib"), *EXPORTS.glob("*.ris")])


def rows_of(read):
    return [{"kind": ["survey"], "field": ["law"]}] * len(read.papers)


def bibtex_blocks(text):
    """Return every block as written, entries as type, key and fields, and their keywords."""
    blocks, keywords = [], []
    for block in bibtexparser.parse_string(text, parse_stack=[]).blocks:
        entry = getattr(block, "ignore_error_block", block)
        if not hasattr(entry, "fields"):
            blocks.append(block.raw)
            continue
        fields = [(field.key, field.value) for field in entry.fields]
        keywords.append([value for key, value in fields if key.lower() == "keywords"])
        others = [each for each in fields if each[0].lower() != "keywords"]
        blocks.append((entry.entry_type, entry.key, others))
    return blocks, keywords


def without_keywords(text):
    """Return RIS without lines of keywords, of which EndNote has several a field."""
    return re.sub(r"^KW  - .*\n(?:(?![A-Z][A-Z0-9]  -).*\n)*", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", LIBRARIES, ids=lambda path: path.name)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_all_but_keywords_comes_back_to_the_byte(path, newline, encoding, tmp_path, taxonomy):
    text = path.read_bytes().decode().replace("\r", "")
    own = tmp_path / path.name
    own.write_bytes(text.replace("\n", newline).encode(encoding))
    read = collect_papers([own])
    [written] = write_with_keywords(read, rows_of(read), taxonomy, tmp_path / "out")
    assert own.read_bytes() == text.replace("\n", newline).encode(encoding)
    found = written.read_bytes().decode(encoding)
    assert found.encode(encoding) == written.read_bytes()
    assert found.count("\r\n") == (found.count("\n") if newline == "\r\n" else 0)
    found = found.replace("\r", "")
    if path.suffix == ".bib":
        (before, kept), (after, now) = bibtex_blocks(text), bibtex_blocks(found)
        assert before == after
        assert len(now) == len(read.entries)
        for old, [new] in zip(kept, now, strict=True):
            assert new.startswith(old[0][:-1] if old else "{kind")
            assert new.endswith(("kind: survey, field: law}", "kind: survey; field: law}"))
    else:
        assert without_keywords(found) == without_keywords(text)
        for old, new in zip(rispy.loads(text), rispy.loads(found), strict=True):
            assert {**old, "keywords": None} == {**new, "keywords": None}
            assert new["keywords"] == [*old.get("keywords", ()), "kind: survey", "field: law"]
    assert [p.title for p in read_papers([written])] == [p.title for p in read.entries]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("title={x}}", "title={x}, keywords={a: b, c: d}}"),
        ("\n\ttitle = {x},\n}", "\n\ttitle = {x},\n\tkeywords = {a: b, c: d},\n}"),
        ("\n  title   = {x}\n}", "\n  title   = {x},\n  keywords = {a: b, c: d}\n}"),
        ("Keywords = {}}", "Keywords = {a: b, c: d}}"),
        ("keywords = }", "keywords ={a: b, c: d} }"),
        ('keywords="x"}', 'keywords="x, a: b, c: d"}'),
        ("keywords={x,y}}", "keywords={x,y,a: b,c: d}}"),
        ("keywords={x; y, z;}}", "keywords={x; y, z; a: b; c: d}}"),
        ("keywords={{x, y}, z\n }, note={n}}", "keywords={{x, y}, z, a: b, c: d\n }, note={n}}"),
        ("keywords = kw}", "keywords = kw # {, a: b, c: d}}"),
        ("keywords = kw # { and } # {y}}", "keywords = kw # { and } # {y} # {, a: b, c: d}}"),
        (r"keywords={a: x, X, c: old\_one, Y}}", "keywords={X, Y, a: b, c: d}}"),
        ("keywords={x a: m, A: M}}", "keywords={x a: m, A: M, a: b, c: d}}"),
        ("keywords={x}, keywords={y}}", "keywords={x, a: b, c: d}, keywords={y}}"),
    ],
)
def test_keywords_go_into_bibtex_in_its_own_style(before, after):
    ours, new = re.compile(r"[ac]: [a-z_]+"), ["a: b", "c: d"]
    for start, end in ("{k, ", "}"), ("(k, ", ")"), ("{", "}"):
        texts = [f"@a{start}{text[:-1]}{end}" for text in (before, after)]
        assert add_bibtex_keywords(texts[0], [new], ours) == texts[1]
        assert add_bibtex_keywords(texts[1], [new], ours) == texts[1]
        kept = add_bibtex_keywords(texts[1], [[]], ours)
        assert "a: b" not in kept
        assert add_bibtex_keywords(kept, [[]], ours) == kept


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("TI  - x", "TI  - x\n{}"),
        ("KW  - a\nKW  - field: old\nKW  - b\nTI  - x", "KW  - a\nKW  - b\n{}\nTI  - x"),
        (
            "KW  - kind: old\nfield: old\na\nkind: of blue\n\nTI  - x",
            "KW  - a\nkind: of blue\n{}\n\nTI  - x",
        ),
    ],
)
def test_keywords_go_into_ris_after_the_last(before, after):
    after = after.format("KW  - kind: survey\nKW  - field: health")
    expected = f"odd\nTY  - JOUR\n{after}\nER  - "
    for text in (before, after):
        given = f"odd\nTY  - JOUR\n{text}\nER  - "
        for end in ("\n", "\r\n", "\r"):  # the last one is that of old Macs
            written = add_ris_keywords(given.replace("\n", end), [NEW], OURS)
            assert written == expected.replace("\n", end)


def test_keywords_of_ris_with_one_blank_before_the_hyphen_are_replaced():
    given = "TY - JOUR\nKW - kind: old\nKW - a\nTI - x\nER - "
    expected = "TY - JOUR\nKW - a\nKW  - kind: survey\nKW  - field: health\nTI - x\nER - "
    assert add_ris_keywords(given, [NEW], OURS) == expected
    assert add_ris_keywords(expected, [NEW], OURS) == expected


lists = st.lists(
    st.sampled_from(["a", "{b, c; d}", "kind: survey", "field: x", "", " e f ", "\n g"]), max_size=6
)


@given(lists, st.sampled_from([",", ", ", ";", "; ", ",\n  "]), st.sampled_from(["{}", '""']))
def test_nobodys_keyword_is_lost(listed, separator, enclosing):
    value = enclosing[0] + separator.join(listed) + enclosing[1]
    text = f"@a{{k, keywords = {value}, title = {{t}}}}"
    once = add_bibtex_keywords(text, [NEW], OURS)
    assert add_bibtex_keywords(once, [NEW], OURS) == once
    mark = separator.strip()
    inner = once.split(" = ", 1)[1].rsplit(", title", 1)[0][1:-1].replace("{b, c; d}", "B")
    found = [word.strip() for word in inner.split(mark if len(listed) > 1 else ",") if word.strip()]
    theirs = [word.strip().replace("{b, c; d}", "B") for word in listed]
    assert found == [word for word in theirs if word and not OURS.fullmatch(word)] + NEW


def test_files_of_one_name_and_files_that_were_read_are_not_overwritten(tmp_path, taxonomy):
    texts = {}
    for folder in ("a", "b", "out"):
        path = tmp_path / folder / "library.bib"
        path.parent.mkdir()
        texts[path] = f"@misc{{k, title = {{Paper of {folder}}}}}"
        path.write_text(texts[path])
    (tmp_path / "out" / "Export.txt").write_text("TY  - JOUR\nTI  - Another\nER  - \n")
    read = collect_papers([*texts, tmp_path / "out" / "Export.txt"])
    taken = [tmp_path / "out" / "library-2.bib"]
    written = write_with_keywords(read, rows_of(read), taxonomy, tmp_path / "out", taken)
    names = ["library-3.bib", "library-4.bib", "library-5.bib", "Export-2.txt"]
    assert [path.name for path in written] == names
    assert {path: path.read_text() for path in texts} == texts
    for name, path in zip("ab", written[:2], strict=True):
        assert f"Paper of {name}" in path.read_text()


def test_only_what_tagger_wrote_and_nobody_changed_is_overwritten(tmp_path, taxonomy):
    path, out = tmp_path / "library.bib", tmp_path / "out"
    path.write_text("@misc{a, title={One}}", encoding="utf-8")
    out.mkdir()
    for name in ("library.bib", "library-2.bib"):
        (out / name).write_text("mine", encoding="utf-8")

    def write():
        read = collect_papers([path])
        [written] = write_with_keywords(read, rows_of(read), taxonomy, out)
        return written

    assert write().name == "library-3.bib"
    path.write_text("@misc{a, title={One}}@misc{b, title={Two}}", encoding="utf-8")
    assert write().name == "library-3.bib"
    assert "Two" in (out / "library-3.bib").read_text()
    with (out / "library-3.bib").open("a", encoding="utf-8") as file:
        file.write("@misc{c, title={Added by hand}}")
    assert write().name == "library-4.bib"
    assert "by hand" in (out / "library-3.bib").read_text()
    assert (out / "library.bib").read_text() == (out / "library-2.bib").read_text() == "mine"
    (out / WRITTEN_FILE).write_text("[torn", encoding="utf-8")
    assert write().name == "library-5.bib"


def test_duplicates_of_one_paper_all_get_its_tags(tmp_path, taxonomy):
    path = tmp_path / "twice.bib"
    path.write_text(
        "@misc{a, title={One}, doi={10.1234/A}}\n@misc{a, title={Uno}, doi={10.1234/a}}"
    )
    read = collect_papers([path])
    [written] = write_with_keywords(read, rows_of(read), taxonomy, tmp_path / "out")
    assert written.read_text().count("keywords={kind: survey, field: law}") == 2


def test_the_command_gives_libraries_back(saved_model, tmp_path):
    for name in ("zotero.bib", "endnote.ris"):
        (tmp_path / name).write_bytes((EXPORTS / name).read_bytes())
    (tmp_path / "page.txt").write_text(page("First paper"), encoding="utf-8")
    (tmp_path / "bad.bib").write_text("@article{a, title={One", encoding="utf-8")
    names = ("page.txt", "zotero.bib", "bad.bib", "endnote.ris")
    command = ("tag", *names, "--output", "out", "--model", saved_model)
    done = run(*command, "--json", cwd=tmp_path, code=2)
    assert "bad.bib:1: this entry is not valid BibTeX" in done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    assert (report["entries"], report["papers"]) == (4, 4)
    names = ("zotero.bib", "endnote.ris", "problems.jsonl", "manifest.json")
    assert report["output"][4:] == [f"out/{name}" for name in names]
    rows = {row["id"]: row for row in json_lines(tmp_path / "out" / "tags.jsonl")}
    [kind] = rows["doi:10.5555/quiet.wards"]["tags"]["kind"]
    assert f"KW  - kind: {kind}\n" in (tmp_path / "out" / "endnote.ris").read_text()
    [kind] = rows["arxiv:2305.99001"]["tags"]["kind"]
    assert f"kind: {kind}" in (tmp_path / "out" / "zotero.bib").read_text().split("@misc")[1]
    text = run(*command, "--show", 0, cwd=tmp_path).stdout.splitlines()[-1]
    assert text == f"Written: {', '.join(report['output'])}"


def test_libraries_of_replaced_results_are_removed_unless_they_are_used(saved_model, tmp_path):
    entry = "@article{{a, title={{{0}}}, abstract={{On {0}: we did it.}}}}\n"
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.bib").write_text(entry.format(f"Paper {name}"), encoding="utf-8")
    out = tmp_path / "out"
    tag = ("tag", "--output", "out", "--model", saved_model)
    run(*tag, "one.bib", "two.bib", "three.bib", cwd=tmp_path, code=0)
    (out / "two.bib").write_text("mine", encoding="utf-8")
    (out / "own.bib").write_text("mine", encoding="utf-8")
    run(*tag, "one.bib", "--replace", cwd=tmp_path, code=0)
    assert {path.name for path in out.glob("*.bib")} == {"one.bib", "two.bib", "own.bib"}
    run(*tag, "out/one.bib", "--replace", cwd=tmp_path, code=0)
    assert (out / "one.bib").exists(), "an input is not removed"


fields = st.lists(
    st.tuples(
        st.sampled_from(["title", "Abstract", "KEYWORDS", "note", "x-y"]),
        st.sampled_from(["=", " = ", "\t =\n "]),
        st.sampled_from(["{a, {b} = c}", '"q {"} \\"o, r"', "jan", "12", 'k # {x, "} # "y"', "{}"]),
    ),
    min_size=1,
    max_size=5,
)
OTHER_BLOCKS = ["@comment{title = {x},}\n", '@string{k = "v"}\n', "@preamble{{p}}\n"]
between = st.sampled_from(["", "\n", " % a comment\n", *OTHER_BLOCKS])
entries = st.builds(
    lambda before, opening, gap, fields, comma, after: (
        before
        + f"@Misc{opening[0]}key"
        + "".join(f",{gap}{name}{equals}{value}" for name, equals, value in fields)
        + f"{comma}{opening[1]}{after}"
    ),
    between,
    st.sampled_from(["{}", "()"]),
    st.sampled_from([" ", "\n  ", "\n\t", ""]),
    fields,
    st.sampled_from(["", ",", "\n", ",\n"]),
    st.sampled_from(["\n", "\n\n", "\r\n"]),
)


@given(st.lists(entries, min_size=1, max_size=4))
def test_any_bibtex_keeps_every_block_and_field(written):
    text = "".join(written)
    tags = [[f"kind: a{n}", "field: b"] for n in range(len(written))]
    found = add_bibtex_keywords(text, tags, OURS)
    (before, kept), (after, now) = bibtex_blocks(text), bibtex_blocks(found)
    assert before == after
    for own, old, (new, *others) in zip(tags, kept, now, strict=True):
        assert all(tag in new for tag in own)
        assert others == old[1:]
    assert add_bibtex_keywords(found, tags, OURS) == found
