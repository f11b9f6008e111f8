"""Results of experiments: what is recorded with them, and what the page says of them."""

import json
from argparse import Namespace

import pytest
import record
import run_all
from helpers.scripts import load_script

TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The script of the page, with tables that were not recorded, and ``tagger/`` at ``TREE``."""
    script = load_script("results")
    for sections in script.SECTIONS.values():
        for name in sections.values():
            (tmp_path / f"{name}.md").write_text("| a |\n", encoding="utf-8")
            (tmp_path / f"{name}.json").write_text("[]", encoding="utf-8")
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    monkeypatch.setattr(script, "tagger_tree", lambda: TREE)
    return script


def measure(folder, tree, *names, packages=None):
    state = {"tagger": tree, "script": "", "commit": "1", "machine": "m", "date": "2026-01-01"}
    state["packages"] = packages
    for name in names:
        options = Namespace(output=folder, state=state)
        record.write_result(options, name, {}, "| a |")


def test_the_page_names_the_tables_that_are_not_of_the_present_state(page, tmp_path):
    names = [name for sections in page.SECTIONS.values() for name in sections.values()]
    headings = {name: heading for each in page.SECTIONS.values() for heading, name in each.items()}
    measure(tmp_path, TREE, *names[2:])
    measure(tmp_path, "another", names[1])
    top = page.results_page().partition("\n## ")[0]
    listed = [name for name in names if f"[{headings[name]}](#" in top]
    assert listed == names[:2]
    measure(tmp_path, TREE, *names)
    assert "](#" not in page.results_page().partition("\n## ")[0]


def test_below_an_older_table_stands_what_has_changed_since(page, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "tagger_packages", lambda: {"cli": "2", "model": "1", "new": "1"})
    measure(tmp_path, "another", "gate", packages={"cli": "1", "model": "1", "old": "1"})
    measure(tmp_path, TREE, "fuzz", packages={"cli": "2", "model": "1", "new": "1"})
    measure(tmp_path, "another", "speed")
    told = {
        name: line.partition("Changed since: ")[2]
        for line in page.results_page().splitlines()
        for name in ("gate", "fuzz", "speed")
        if f"experiments/{name}.py` on" in line
    }
    assert told == {"gate": "`cli`, `new`, `old`.", "fuzz": "", "speed": ""}


def test_every_table_of_the_page_is_run_by_make_results():
    sections = load_script("results").SECTIONS.values()
    assert {name for each in sections for name in each.values()} == {*run_all.EXPERIMENTS}
    assert all((run_all.HERE / f"{name}.py").exists() for name in run_all.EXPERIMENTS)


@pytest.mark.parametrize(
    ("tree", "change", "present"),
    [(TREE, "", True), (TREE, "#", False), ("another", "", False), (None, "", False)],
)
def test_a_result_is_skipped_only_on_the_same_state_and_script(
    tmp_path, monkeypatch, tree, change, present
):
    script = tmp_path / "trial.py"
    script.write_text("print()\n", encoding="utf-8")
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "tagger_tree", lambda: tree)
    options = Namespace(output=tmp_path, state=record.state_of(script))
    record.write_result(options, "trial", [1], "| a |")
    assert json.loads((tmp_path / "trial.json").read_text("utf-8"))["figures"] == [1]
    script.write_text(f"print()\n{change}", encoding="utf-8")
    assert run_all.is_present("trial", TREE) == present
