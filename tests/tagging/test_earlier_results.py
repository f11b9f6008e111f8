"""Results of other papers stay, and abstracts are kept beside the results unless told otherwise."""

import json

import pytest
from helpers.samples import contents, json_lines, page, ran, run

WEEKS = {"week1.txt": ("First paper", "Second paper"), "week2.txt": ("Third paper",)}


@pytest.fixture
def root(tmp_path, saved_model, monkeypatch):
    """A folder with the pages of two weeks and the results of the first."""
    for name, titles in WEEKS.items():
        (tmp_path / name).write_text(page(*titles), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run("tag", "week1.txt", "-m", saved_model).returncode == 0
    return tmp_path


def test_other_papers_are_replaced_only_when_asked(root, saved_model):
    before = contents(root / "tagged")
    done = run("tag", "week2.txt", "-m", saved_model, code=2)
    [line] = done.stderr.splitlines()
    assert "tagged: has results of 2 papers" in line
    for way in ("--output", "--into", "--replace"):
        assert way in line
    assert contents(root / "tagged") == before
    done = run("tag", "week2.txt", "-m", saved_model, "--replace", code=0)
    [row] = json_lines(root / "tagged" / "tags.jsonl")
    assert row["title"] == "Third paper"


def test_a_warning_names_the_formats_that_are_not_renewed(root, saved_model):
    tag = ("tag", "week2.txt", "-m", saved_model)
    run(*tag, "--replace", "--write", "parquet", code=0)
    assert "tags.parquet" not in run(*tag, "--write", "parquet", code=0).stderr
    parts = root / "tagged" / "tags"
    parts.mkdir()
    (parts / "part-000000.parquet").touch()
    done = run(*tag, "week1.txt", "--json", code=0)
    assert "tagged/tags.parquet is of an earlier run" in done.stderr
    assert "tagged/tags is of an earlier run" in done.stderr
    assert json.loads(done.stdout)["papers"] == 3


def test_the_same_papers_and_more_are_tagged_again_without_a_word(root, saved_model):
    for files in (["week1.txt"], ["week2.txt", "week1.txt"]):
        run("tag", *files, "-m", saved_model, "--min-confidence", 0.5, code=0)


def test_a_paper_that_gains_an_identifier_is_not_lost(root, saved_model):
    entry = "@article{a, title={%s}, doi={10.5555/%s}, abstract={On it.}}"
    for name in ("a", "b"):
        (root / f"{name}.bib").write_text(entry % ("First paper", name), encoding="utf-8")
    (root / "second.bib").write_text(entry % ("Second paper", "c"), encoding="utf-8")
    tag = ("tag", "second.bib", "-m", saved_model)
    run(*tag, "a.bib", code=0)
    run(*tag, "a.bib", "week1.txt", code=0)
    # Another paper of the same title is not the earlier one.
    assert "results of 1 papers" in run(*tag, "b.bib", code=2).stderr


def test_results_that_cannot_be_read_are_not_replaced(root, saved_model):
    tags = root / "tagged" / "tags.jsonl"
    tags.write_bytes(tags.read_bytes()[:-20])
    before = contents(root / "tagged")
    done = run("tag", "week1.txt", "-m", saved_model)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert contents(root / "tagged") == before


def test_the_report_finds_the_abstracts(root):
    assert ran("report")["abstracts"] == 2
    assert "On first paper:" in (root / "report.html").read_text(encoding="utf-8")
    assert ran("report", "--no-abstracts")["abstracts"] == 0
    assert "On first paper:" not in (root / "report.html").read_text(encoding="utf-8")


def test_the_report_counts_the_entries_that_the_run_merged(root, saved_model):
    (root / "twice.txt").write_text(page("A paper", "Another", "A paper"), encoding="utf-8")
    tagged = ran("tag", "twice.txt", "week1.txt", "-o", "twice", "-m", saved_model)
    flow = ran("report", "twice", "tagged")["flow"]
    assert (tagged["entries"], tagged["merged"]) == (5, 1)
    # The two papers of the first week are in both folders.
    assert (flow["found"], flow["duplicates"]) == (7, 3)


def test_abstracts_that_must_not_be_kept_are_not(root, saved_model):
    assert run("tag", "week1.txt", "-m", saved_model, "--no-abstracts").returncode == 0
    assert not any(b"On first paper" in text for text in contents(root / "tagged").values())
    found = ran("report")
    assert found["abstracts"] == 0
    assert "abstracts" in [part["part"] for part in found["left_out"]]


MINE = (
    "manifest.json",
    "tags.csv",
    "tags.xlsx",
    "problems.jsonl",
    "abstracts.jsonl",
    ".work/a.txt",
)


@pytest.mark.parametrize("name", MINE)
def test_files_that_tagger_did_not_write_are_neither_replaced_nor_deleted(root, saved_model, name):
    mine = root / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text('{"name": "a web app"}', encoding="utf-8")
    (root / "mine" / "tags").touch()
    before = {path.name for path in (root / "mine").rglob("*")}
    tag = ("tag", "week1.txt", "-m", saved_model, "--output", "mine", "--write", "excel")
    named = name.split("/")[0]
    for options in ((), ("--replace",)):
        [line] = run(*tag, *options, code=2).stderr.splitlines()
        assert f"{named}: was not written by tagger" in line
        assert "Choose another --output" in line
        assert {path.name for path in (root / "mine").rglob("*")} == before
        assert mine.read_text(encoding="utf-8") == '{"name": "a web app"}'
    mine.unlink()
    run(*tag, code=0)
