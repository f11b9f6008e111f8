"""A library collects papers week after week, and loses nothing when something goes wrong."""

import json
import os
import shutil
import signal
import sqlite3
import time
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from helpers.samples import (
    contents,
    json_lines,
    label_line,
    page,
    ran,
    refused,
    run,
    small_taxonomy,
    start,
)
from helpers.tiny_model import save_tiny_model
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tagger.cli.output import papers_to_review
from tagger.errors import TaggerError
from tagger.model import ReviewRule, load_model
from tagger.papers import Library, Paper, TaggedPaper, collect_papers, merge_duplicates
from tagger.tagging import Arrivals, retag_library
from tagger.taxonomy import Facet, Tag, Taxonomy

RULE = ReviewRule()
WEEKS = {
    "week1.txt": ("First paper", "Second paper"),
    "week2.txt": ("Second paper", "Third paper on courts", "Fourth paper"),
}
DAYS = {"week1.txt": "2026-11-03", "week2.txt": "2026-11-11"}


def write_pages(folder):
    for name, titles in WEEKS.items():
        (folder / name).write_text(page(*titles), encoding="utf-8")


@pytest.fixture
def add(tmp_path, saved_model, monkeypatch):
    """Add a page to the library of a folder, as a user does."""
    monkeypatch.chdir(tmp_path)
    write_pages(tmp_path)

    def add_page(name, *more):
        day = ("--date", DAYS[name]) if name in DAYS else ()
        command = ("tag", name, "--into", "library", "-m", saved_model, *day, *more)
        addition = ran(*command)["addition"]
        del addition["near_duplicates"]
        return addition

    return add_page


@pytest.fixture(scope="module")
def two_weeks(tmp_path_factory, saved_model):
    """A library of two weeks, not to be changed."""
    folder = tmp_path_factory.mktemp("weeks")
    write_pages(folder)
    for name, day in DAYS.items():
        run("tag", name, "--into", "library", "-m", saved_model, "--date", day, cwd=folder, code=0)
    return folder / "library"


@pytest.fixture
def root(tmp_path, two_weeks, monkeypatch):
    """A folder with a library of two weeks."""
    monkeypatch.chdir(tmp_path)
    write_pages(tmp_path)
    shutil.copy(two_weeks, tmp_path)
    return tmp_path


def rows():
    """Return the papers of the library as JSON, by title."""
    return {row["title"]: row for row in ran("library", "search", "library")["papers"]}


def test_a_paper_is_added_once_and_keeps_its_day(add, tmp_path):
    assert add("week1.txt") == {"library": "library", "new": 2, "known": 0, "papers": 2}
    first = rows()
    assert add("week2.txt") == {"library": "library", "new": 2, "known": 1, "papers": 4}
    second = rows()
    assert second["First paper"] == first["First paper"]
    assert [row["added"] for row in second.values()] == ["2026-11-03"] * 2 + ["2026-11-11"] * 2
    assert second["Second paper"]["sources"] == ["week1.txt", "week2.txt"]
    assert add("week1.txt")["new"] == 0
    assert rows() == second
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == [
        "library",
        *WEEKS,
    ]


def test_what_was_read_is_tagged_merged_known_or_a_problem(root, saved_model):
    (root / "more.csv").write_text("title,abstract\nFirst paper,A\nNew paper,B\n,C\n", "utf-8")
    files = ("more.csv", "week1.txt", "week1.txt", "week2.txt")
    told = ran("tag", *files, "--into", "library", "-m", saved_model, code=2)
    counts = [told[name] for name in ("rows", "papers", "merged", "problems")]
    assert counts == [8, 1, 2, 1]
    assert told["addition"]["known"] == 4


def test_a_journal_version_is_known_once_its_doi_was_seen_with_the_preprint(tmp_path, taxonomy):
    entries = [
        Paper("A preprint", "On hearts.", ("a",), identifiers=("arxiv:2501.00001",)),
        Paper("A preprint", "", ("b",), identifiers=("arxiv:2501.00001", "doi:10.1/x")),
        Paper("A preprint!", "", ("c",), identifiers=("doi:10.1/x",)),
    ]
    for entry in entries:
        collect(tmp_path / "library", [entry], taxonomy)
    [found] = Library(tmp_path / "library").papers()
    assert found.tagged.id == "arxiv:2501.00001"
    assert found.tagged.identifiers == ("doi:10.1/x", "arxiv:2501.00001")
    assert found.abstract == "On hearts."


def test_two_entries_of_one_paper_both_tell_what_they_know(tmp_path, taxonomy):
    path = tmp_path / "library"
    collect(path, [Paper("A study of hearts", "", ("a",))], taxonomy)
    page = [
        Paper("A study of hearts", "Of old hearts.", ("b",), identifiers=("doi:10.1/a",)),
        Paper("A study of hearts", "", ("c",), identifiers=("arxiv:2501.00001",)),
    ]
    collect(path, page, taxonomy)
    [found] = Library(path).papers("old")
    assert found.tagged.identifiers == ("doi:10.1/a", "arxiv:2501.00001")
    assert found.tagged.sources == ("a", "b", "c")


@pytest.mark.parametrize("words", ['"', '""', " ", "\0", '" \0"', "\udcff"])
def test_a_search_without_words_is_refused(tmp_path, words):
    library = Library.create(tmp_path / "library")
    with pytest.raises(TaggerError, match="the search has no words"):
        library.papers(words)


def test_a_quote_or_an_unsafe_character_among_words_is_passed_over(tmp_path, taxonomy):
    collect(tmp_path / "library", [Paper("A study of hearts", "Old ones.", ("a",))], taxonomy)
    for words in ('"hearts', 'old "', "hearts\0", "study\0old", '"study\0of"', "\udcff old"):
        assert len(list(Library(tmp_path / "library").papers(words))) == 1


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("医学", True),
        ("语言模型", True),
        ("语言模型 gpt", True),
        ("大型语言模型: 综述", True),
        ("综述 语言模型", True),
        ('"医学 综述"', True),
        ('"综述 医学"', False),
        ("法学", False),
        ("医学 法学", False),
        ("らがな", True),
        ("ภาษา", True),
    ],
)
def test_words_are_found_in_scripts_without_spaces(tmp_path, taxonomy, words, found):
    title = "大型语言模型在医学中的应用综述"
    abstract = "大型语言模型：综述。ひらがなと。基于GPT模型。ประมวลผลภาษาธรรมชาติ"
    papers = [Paper(title, abstract, ("a",)), Paper("A study of hearts", "", ("a",))]
    collect(tmp_path / "library", papers, taxonomy)
    matches = [one.tagged.title for one in Library(tmp_path / "library").papers(words)]
    assert matches == [title] * found


def test_two_dois_are_not_both_of_a_paper_that_had_none(tmp_path, taxonomy):
    path = tmp_path / "library"
    collect(path, [Paper("One title", "", ("a",))], taxonomy)
    page = [Paper("One title", "", ("b",), identifiers=(f"doi:10.1/{name}",)) for name in "xy"]
    for new in (1, 0):
        assert collect(path, page, taxonomy).new == new
    assert [one.tagged.identifiers for one in Library(path).papers()] == [
        ("doi:10.1/x",),
        ("doi:10.1/y",),
    ]


def test_chapters_with_the_doi_of_their_book_are_papers_of_their_own(tmp_path, taxonomy):
    titles = ("The role of wool", "Nineteen maps of hell")
    for title in titles * 2:
        paper = Paper(title, "", ("a",), identifiers=("doi:10.1/book",))
        collect(tmp_path / "library", [paper], taxonomy)
    found = [one.tagged for one in Library(tmp_path / "library").papers()]
    assert [one.title for one in found] == list(titles)
    assert len({one.id for one in found}) == 2


def text(number, changed=0):
    """Return an abstract of forty words, of which the first few may be changed."""
    return " ".join(f"{'x' if n < changed else 'w'}{number}q{n}" for n in range(40))


def test_a_near_duplicate_of_an_earlier_paper_is_named_once_and_offered_once(tmp_path, taxonomy):
    path = tmp_path / "library"
    pages = [
        [Paper("A preprint", text(1), ("a",)), Paper("Another", text(2), ("a",))],
        [Paper("A journal version", text(1, 5), ("b",)), Paper("Something else", text(3), ("b",))],
        [Paper("A preprint", text(1), ("c",)), Paper("A translation", text(2, 20), ("c",))],
        [Paper("Something else!", text(3), ("d",)), Paper("Only a title", "", ("d",))],
        [Paper("Only a title", text(3, 2), ("e",)), Paper("Something new", text(4), ("e",))],
    ]
    found = [collect(path, page, taxonomy).near_duplicates for page in pages]
    assert [[pair.titles for pair in pairs] for pairs in found] == [
        [],
        [("A preprint", "A journal version")],
        [("Another", "A translation")],
        [],
        [("Something else", "Only a title")],
    ]
    collect(path, [Paper("Something newer", text(4, 2), ("f",))], taxonomy)
    offered = [paper.title for paper in papers_to_review(collect_papers(path))]
    assert offered == ["A preprint", "Another", "Something else", "Something new"]


def test_the_earlier_paper_is_offered_although_its_abstract_comes_later(tmp_path, taxonomy):
    path = tmp_path / "library"
    for title, abstract in ("A preprint", ""), ("A journal version", text(1, 5)):
        collect(path, [Paper(title, abstract, ("a",))], taxonomy)
    pairs = collect(path, [Paper("A preprint", text(1), ("b",))], taxonomy).near_duplicates
    assert [pair.titles for pair in pairs] == [("A preprint", "A journal version")]
    assert [paper.title for paper in papers_to_review(collect_papers(path))] == ["A preprint"]


def test_a_near_duplicate_that_gains_an_identifier_is_not_offered_again(tmp_path, taxonomy):
    path = tmp_path / "library"
    collect(path, [Paper("A preprint", text(1)), Paper("A journal version", text(1, 5))], taxonomy)
    collect(path, [Paper("A journal version", "", identifiers=("doi:10.5555/1",))], taxonomy)
    assert [paper.title for paper in papers_to_review(collect_papers(path))] == ["A preprint"]


def collect(path, papers, taxonomy):
    """Add papers to a library as the command does, with tags from nowhere."""
    arrivals = Arrivals.at(path, papers)
    tagged = [
        TaggedPaper(
            one.id, one.title, one.sources, {}, {}, None, "m", "t", identifiers=one.identifiers
        )
        for one in arrivals.new
    ]
    run = SimpleNamespace(papers=len(tagged), tagged=lambda: tagged)
    return arrivals.add(run, taxonomy, None, abstracts=True)


names = st.sampled_from(["doi:10.1/a", "doi:10.1/b", "arxiv:2501.00001", "pmid:7"])
entries = st.builds(
    lambda title, ids: Paper(title, "Of hearts.", ("a",), identifiers=tuple(ids)),
    st.sampled_from(["One title", "Another title", "A third"]),
    st.lists(names, max_size=2, unique_by=lambda name: name.partition(":")[0]),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(entries, min_size=1, max_size=4), min_size=1, max_size=4))
@example(
    [
        [Paper("One title", "Of hearts.")],
        [Paper("One title", "", identifiers=(f"doi:10.1/{end}",)) for end in "ab"],
    ]
)
def test_whatever_arrives_is_known_afterwards(tmp_path, taxonomy, pages):
    path = tmp_path / "library"
    path.unlink(missing_ok=True)
    for entries_of_page in pages:
        collect(path, merge_duplicates(entries_of_page), taxonomy)
        library = Library(path)
        assert all(library.find(entry) for entry in entries_of_page)
        size = len(library)
        assert collect(path, merge_duplicates(entries_of_page), taxonomy).papers == size


def test_corrections_show_in_every_command_and_survive_a_new_model(root, label_folder, tmp_path):
    answer = label_line("First paper", source="review", tags={"kind": ["study"], "field": ["law"]})
    (label_folder / "corrections.jsonl").write_text(answer + "\n", encoding="utf-8")
    before = rows()["First paper"]
    assert (before["tags"], before["status"]) == (
        {"kind": ["study"], "field": ["law"]},
        "corrected",
    )
    done = run("library", "retag", "library", "-m", other_model(root), "--json", code=0)
    after = rows()["First paper"]
    assert after["model"] != before["model"]
    assert (after["tags"], after["added"]) == (before["tags"], before["added"])
    done = run(
        "library", "search", "library", "--tag", "field/law", "--tag", "kind/study", "hearts"
    )
    assert done.stdout.splitlines()[-1] == "papers: 0"
    done = run("library", "export", "library", "-o", "out", "--tag", "field/law", "paper", code=0)
    written = {file.name for file in (root / "out").glob("[!.]*") if file.is_file()}
    assert all(f"out/{name}" in done.stdout for name in written)
    exported = json_lines(root / "out" / "tags.jsonl")
    assert "First paper" in [row["title"] for row in exported if row["tags"]["kind"] == ["study"]]


def test_a_library_is_read_with_tags_that_its_model_did_not_know(root, label_folder):
    run("taxonomy", "add", "field/tax", "--definition", "On taxes.", "--yes", code=0)
    answer = label_line("First paper", source="review", tags={"field": ["tax"]})
    (label_folder / "corrections.jsonl").write_text(answer + "\n", encoding="utf-8")
    before = rows()
    assert before["First paper"]["tags"]["field"] == ["tax"]
    assert {row["confidence"]["field"]["tax"] for row in before.values()} == {0}
    run("library", "export", "library", "-o", "out", "--write", "parquet", code=0)
    assert len(json_lines(root / "out" / "tags.jsonl")) == len(before)


def other_model(root):
    """Return the folder of a model with other heads."""
    return save_tiny_model(root / "other", small_taxonomy(), seed=1)


def test_a_paper_added_today_is_found_today_in_any_time_zone(add, tmp_path, monkeypatch):
    (tmp_path / "new.txt").write_text(page("Fifth paper"), encoding="utf-8")
    try:
        with monkeypatch.context() as patch:
            # A day ahead of UTC at any time.
            patch.setenv("TZ", "AHEAD-24")
            time.tzset()
            add("new.txt")
            assert len(ran("library", "search", "library", "--since", "0d")["papers"]) == 1
    finally:
        time.tzset()


def test_search_finds_words_phrases_days_and_what_waits(root):
    def found(*words):
        return [row["title"] for row in ran("library", "search", "library", *words)["papers"]]

    assert found("court") == ["Third paper on courts"]
    assert found('"paper on courts"') == ["Third paper on courts"]
    assert found('c++ "unbalanced AND (') == []
    assert len(found("long enough")) == 4
    assert found("--since", "2026-11-11") == ["Third paper on courts", "Fourth paper"]
    waiting = [title for title, row in rows().items() if row["review"]]
    assert found("--waiting") == waiting


def test_one_paper_is_shown_by_a_part_of_its_title(root):
    done = run("library", "show", "library", "COURTS", code=0)
    assert "confidences, kind:" in done.stdout
    assert done.stdout.splitlines()[-1] == "papers: 1"
    assert len(ran("library", "show", "library", "paper")["papers"]) == 4


def test_an_export_into_other_results_names_only_options_that_it_has(root):
    run("library", "export", "library", "--since", "2026-11-11", "-o", "out", code=0)
    done = run("library", "export", "library", "courts", "-o", "out", code=2)
    assert "--replace" in done.stderr
    assert "--into" not in done.stderr


def test_a_library_is_read_like_any_file_of_papers(root, saved_model):
    assert ran("tag", "library", "-m", saved_model, "-o", "again")["papers"] == 4
    assert len(json_lines(root / "again" / "abstracts.jsonl")) == 4


def test_without_abstracts_no_text_is_kept_and_a_new_model_asks_for_them(add, tmp_path):
    add("week1.txt", "--no-abstracts")
    assert b"nothing real" not in (tmp_path / "library").read_bytes()
    before = rows()
    other = other_model(tmp_path)
    done = run("library", "retag", "library", "-m", other)
    assert (done.returncode, "2 papers keep their tags" in done.stderr) == (1, True)
    assert rows() == before
    done = run("library", "retag", "library", "-m", other, "--texts", "week1.txt", code=0)
    assert b"nothing real" not in (tmp_path / "library").read_bytes()
    assert {row["model"] for row in rows().values()} != {row["model"] for row in before.values()}


def test_a_new_model_says_what_changes(root):
    before, retag = rows(), ("library", "retag", "library", "-m", other_model(root), "--json")
    tried = json.loads(run(*retag, "--dry-run").stdout)
    assert rows() == before
    done = json.loads(run(*retag).stdout)
    after = rows()
    assert (tried, done["papers"]) == (done, 4)

    def names(row):
        return {f"{facet}/{tag}" for facet, tags in row["tags"].items() for tag in tags}

    expected = {
        title: (names(after[title]) - names(row), names(row) - names(after[title]))
        for title, row in before.items()
        if names(row) != names(after[title])
    }
    assert expected, "the other model gives other tags"
    assert {one["title"]: ({*one["gained"]}, {*one["lost"]}) for one in done["changes"]} == expected
    assert sum(done["gained"].values()) == sum(len(gained) for gained, _ in expected.values())
    assert json.loads(run(*retag).stdout)["papers"] == 0


def test_a_tag_that_was_renamed_is_neither_gained_nor_lost(root):
    given = {f"kind/{tag}" for row in rows().values() for tag in row["tags"]["kind"]}
    kind, *others = small_taxonomy().facets
    tags = [
        Tag(name=f"new-{tag.name}", definition=tag.definition, replaces=(tag.name,))
        for tag in kind.tags
    ]
    facet = Facet(name=kind.name, definition=kind.definition, exclusive=True, tags=tags)
    folder = save_tiny_model(root / "renamed", Taxonomy(name="small", facets=(facet, *others)))
    done = json.loads(run("library", "retag", "library", "-m", folder, "--json").stdout)
    assert done["papers"] == 4
    assert given
    assert not given & done["lost"].keys()


def damage(path):
    content = bytearray(path.read_bytes())
    content[4096:12288] = os.urandom(8192)
    path.write_bytes(content)


def older(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 0")


def test_a_model_of_the_same_name_and_another_taxonomy_tags_anew(root):
    path = root / "library"
    library = Library(path)
    [name] = {one.tagged.model for one in library.papers()}
    model = load_model(other_model(root), name)
    taxonomy = model.taxonomy.model_copy(update={"name": "another"})
    model = replace(model, taxonomy=taxonomy)
    assert len(retag_library(path, model, model.rule()).after) == len(library)
    assert not retag_library(path, model, model.rule()).after


def as_folder(path):
    path.unlink()
    path.mkdir()


SPOILS = (
    damage,
    older,
    as_folder,
    lambda path: path.write_bytes(path.read_bytes()[:5000]),
    lambda path: path.write_text("My library of ideas", encoding="utf-8"),
    lambda path: sqlite3.connect(path).execute("PRAGMA application_id = 7"),
    lambda path: path.write_bytes(b""),
)


@pytest.mark.parametrize(
    ("command", "spoil"),
    [
        *((("tag", "week1.txt", "--into", "library"), spoil) for spoil in SPOILS),
        *((("report", "library"), spoil) for spoil in SPOILS),
        (("library", "search", "library"), damage),
        (("library", "show", "library", "paper"), damage),
        (("library", "export", "library", "-o", "out"), damage),
        (("library", "retag", "library"), damage),
    ],
)
def test_a_file_that_is_no_sound_library_is_refused_and_stays(root, saved_model, spoil, command):
    path = root / "library"
    spoil(path)
    before = path.is_file() and path.read_bytes()
    model = ("-m", saved_model) if command[0] == "tag" or command[1] == "retag" else ()
    refused("error: library: ", *command, *model)
    assert (path.is_file() and path.read_bytes()) == before


@pytest.mark.parametrize("others", [("-o", "x"), ("--write", "excel"), ("--engine", "ray")])
def test_a_library_is_no_folder_of_results(root, others):
    refused("--into cannot be combined", "tag", "week1.txt", "--into", "library", *others)


def test_of_two_additions_at_once_none_is_lost(add, tmp_path, saved_model):
    added = ("--into", "library", "--model", saved_model, "--json")
    both = [start(tmp_path, "tag", name, *added) for name in WEEKS]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum(json.loads(out)["addition"]["new"] for out, _ in outputs) == 4
    assert len(rows()) == 4


def test_a_kill_at_the_end_leaves_the_library_as_it_was(root, saved_model, monkeypatch):
    before = rows()
    (root / "week3.txt").write_text(page("Fifth paper"), encoding="utf-8")
    monkeypatch.setattr(Library, "complete", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    child = os.fork()
    if not child:
        (root / "week3.txt").write_text(page("Fifth paper", "First paper"), encoding="utf-8")
        run("tag", "week3.txt", "--into", "library", "-m", saved_model)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    monkeypatch.undo()
    monkeypatch.chdir(root)
    assert rows() == before
    # As after another kill, while the folder was deleted.
    for name in ("tags.jsonl", "manifest.json"):
        (root / ".library.work" / name).unlink()
    done = ran("tag", "week3.txt", "--into", "library", "-m", saved_model)
    assert done["addition"]["papers"] == 5
    assert not list(root.glob(".library.work"))


def test_a_run_that_fails_leaves_the_library_as_it_was(root, saved_model, monkeypatch):
    before = (root / "library").read_bytes()
    monkeypatch.setattr(Library, "_index", Mock(side_effect=sqlite3.OperationalError("disk full")))
    (root / "week3.txt").write_text(page("Fifth paper"), encoding="utf-8")
    run("tag", "week3.txt", "--into", "library", "-m", saved_model, code=2)
    assert (root / "library").read_bytes() == before


def test_a_library_in_use_is_left_alone(root, model):
    with sqlite3.connect(root / "library", isolation_level=None) as database:
        database.execute("BEGIN EXCLUSIVE")
        refused("another process uses it", "library", "search", "library")
    shutil.copy(root / "library", root / "copy")
    retag_library(root / "copy", model, RULE, keep=False)
    assert contents(root)["copy"] == contents(root)["library"]


def test_a_run_without_papers_says_so_to_scripts(tmp_path, monkeypatch, saved_model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.csv").write_text("title,date\nOld,2020-01-01\n", encoding="utf-8")
    command = ("tag", "old.csv", "--since", "2026-01-01", "-m", saved_model, "--json")
    assert ran(*command)["papers"] == 0
