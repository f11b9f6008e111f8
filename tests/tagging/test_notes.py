"""Notes for Obsidian: valid properties and names, and nothing that a person wrote is lost."""

import json
from dataclasses import replace

import pytest
from helpers.samples import page, run
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tagger.papers import Review, TaggedPaper, paper_id
from tagger.tagging.writers import choose_writers
from tagger.tagging.writers.notes import MARKER

ODD = [
    "Quotes \"here\" and 'there': [brackets], {braces} & more",
    "C:\\path\\new\nlines --- ...\n---\nend",
    "- # %%: *bold* [[link]] | `code` #tag",
    "CON",
    "con.aux",
    "../../outside",
    ".hidden...",
    "2024",
    "null",
    "?",
    "長い題名" * 60,
    "x" * 400,
    "\x1b[31m\u202e red \ud800",
]


def tagged(title, name="", tags=("survey",)):
    confidence = {"kind": {"survey": 0.934, "study": 0.066}, "field": {"law": 0.2, "health": 0.1}}
    return TaggedPaper(
        name or f"t-{title[:40]}", title, sources=(), tags={"kind": tags, "field": ()},
        confidence=confidence, review=None, model="m/1", taxonomy="x",
    )  # fmt: skip


@pytest.fixture
def write_only(tmp_path, taxonomy):
    """Write notes; abstracts are those kept beside the folder."""
    writer = choose_writers(["notes"])[-1]
    return lambda *papers: writer.write(papers, taxonomy, tmp_path / "notes")


@pytest.fixture
def write(tmp_path, write_only):
    """Write notes and return the paths by title."""

    def write(*papers):
        write_only(*papers)
        return {properties(path)["title"]: path for path in (tmp_path / "notes").rglob("*.md")}

    return write


def properties(path):
    start, front, _ = path.read_text(encoding="utf-8").split("---\n", 2)
    assert start == ""
    return YAML(typ="safe").load(front)


def test_a_note_has_what_obsidian_shows(write, tmp_path):
    names = ("doi:10.5555/a<b>", "arxiv:2101.00001")
    paper = replace(tagged("A title: one"), identifiers=names, review=Review(("field",), "unsure"))
    abstracts = [{"id": paper.id, "abstract": "Of [[links]], %% and #tags"}]
    (tmp_path / "abstracts.jsonl").write_text(json.dumps(abstracts[0]), encoding="utf-8")
    [path] = write(paper).values()
    assert path.name == "A title one.md"
    found = properties(path)
    assert found.pop("tagger-id")
    assert found == {
        "title": "A title: one",
        "tags": ["kind/survey"],
        "identifiers": list(names),
        "confidence": 0.8,
        "review": "unsure",
    }
    body = path.read_text(encoding="utf-8").split("---\n", 2)[2]
    assert body.splitlines() == ["> Of \\[\\[links\\]\\], \\%\\% and \\#tags", "", MARKER]
    (tmp_path / "abstracts.jsonl").unlink()
    write(paper)
    assert "links" not in path.read_text(encoding="utf-8")


def test_odd_titles_give_valid_properties_and_names(write, tmp_path):
    found = write(*map(tagged, ODD))
    assert len(found) == len(ODD)
    assert {path.parent for path in tmp_path.rglob("*.md")} == {tmp_path / "notes"}
    for title, path in found.items():
        assert isinstance(title, str)
        assert len(path.name.encode()) <= 220
        assert path.stem.split(".")[0].strip().lower() not in ("con", "aux", "")
        assert not set(path.name) & set('<>:"/\\|?*#^[]\n\x1b\u202e')
        assert path.stem == path.stem.strip(". ")
    assert ODD[0] in found
    before = {path: path.stat().st_mtime_ns for path in found.values()}
    again = write(*map(tagged, reversed(ODD)))
    assert {path: path.stat().st_mtime_ns for path in again.values()} == before


@settings(max_examples=30)
@given(st.lists(st.text(max_size=30), max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_any_title_gives_valid_properties(tmp_path_factory, taxonomy, titles, newline):
    folder = tmp_path_factory.mktemp("any") / "notes"
    papers = [tagged(title, f"t-{number}") for number, title in enumerate(titles)]
    for _ in range(2):
        choose_writers(["notes"])[-1].write(papers, taxonomy, folder)
        paths = [*folder.glob("*.md")]
        assert len(paths) == len(titles)
        for path in paths:
            assert isinstance(properties(path).get("title", ""), str)
            text = path.read_bytes().decode().replace("\r\n", "\n").replace("\n", newline)
            path.write_bytes(text.encode())


def test_papers_of_one_title_have_notes_of_their_own(write, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "introduction.MD").write_text("mine", encoding="utf-8")
    papers = [tagged("Introduction", "doi:10.5555/1"), tagged("INTRODUCTION", "doi:10.5555/2")]
    first = write(*papers)
    assert len({path.name.lower() for path in first.values()} | {"introduction.md"}) == 3
    assert write(papers[1], papers[0]) == first
    assert (tmp_path / "notes" / "introduction.MD").read_text(encoding="utf-8") == "mine"


def test_what_a_person_wrote_stays(write, write_only, tmp_path):
    [path] = write(tagged("One")).values()
    text = path.read_text(encoding="utf-8")
    text = text.replace("  - kind/survey\n", "  - kind/survey\n  - toread\n  - '#mine/x'\n")
    text = text.replace(
        "tagger-id", "rating: 5 # of 5\n'Date read': 2026-01-02\nlist:\n- a\ntagger-id"
    )
    mine = f"\nMy thoughts\n---\n{MARKER}\ncaf\u00e9\r\n".encode() + b"\xff"
    moved = tmp_path / "notes" / "sub" / "renamed.md"
    moved.parent.mkdir()
    path.unlink()
    moved.write_bytes(text.encode() + mine)
    write_only(tagged("One, corrected", "t-One", tags=("study",)))
    assert [*tmp_path.rglob("*.md")] == [moved]
    assert moved.read_bytes().endswith(f"{MARKER}\n".encode() + mine)
    front = moved.read_bytes().split(b"---\n")[1].decode()
    assert "rating: 5 # of 5\n'Date read': 2026-01-02\nlist:\n- a\n" in front
    found = YAML(typ="safe").load(front)
    assert found["title"] == "One, corrected"
    assert found["tags"] == ["kind/study", "toread", "#mine/x"]


@pytest.mark.parametrize("stays", [False, True])
def test_a_paper_that_gains_an_identifier_keeps_its_note(write, write_only, stays):
    before = tagged("Introduction", paper_id("Introduction"))
    [path] = write(before).values()
    with path.open("a", encoding="utf-8") as file:
        file.write("mine\n")
    now = tagged("Introduction", "doi:10.5555/1", tags=("study",))
    # A note belongs to the paper with its id, if that is among the papers.
    write_only(tagged("Other"), now, *[before] * stays)
    assert len([*path.parent.iterdir()]) == 2 + stays
    assert path.read_text(encoding="utf-8").endswith("mine\n")
    assert properties(path)["tags"] == ["kind/survey" if stays else "kind/study"]
    content = path.read_text(encoding="utf-8")
    write_only(now, *[before] * stays)
    assert path.read_text(encoding="utf-8") == content


@pytest.mark.parametrize(
    ("old", "new"),
    [(MARKER, ""), ("tags:", "tags: [\ntags:"), ("title: One", "title: One\na: 'b")],
)
def test_a_damaged_note_is_left_and_named(write, write_only, caplog, old, new):
    [path] = write(tagged("One")).values()
    damaged = path.read_text(encoding="utf-8").replace(old, new)
    path.write_text(damaged, encoding="utf-8")
    write_only(tagged("One", tags=("study",)), tagged("Two"))
    assert path.read_text(encoding="utf-8") == damaged
    assert path.with_name("Two.md").exists()
    assert "One.md" in caplog.text


def test_a_library_is_exported_as_notes(saved_model, tmp_path):
    (tmp_path / "page.txt").write_text(page("First paper"), encoding="utf-8")
    assert run("tag", "page.txt", "--into", "lib", "-m", saved_model, cwd=tmp_path).returncode == 0
    export = ("library", "export", "lib", "-o", "out", "--write", "notes")
    for options, kept in ((), True), (("--no-abstracts",), False):
        done = run(*export, *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert ("\n> " in (tmp_path / "out/notes/First paper.md").read_text()) == kept
        assert (tmp_path / "out/abstracts.jsonl").exists() == kept
