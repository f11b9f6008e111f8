"""Results of experiments: what is recorded with them, and what the page says of them."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from unittest.mock import patch

import pytest
import record
import run_all
from helpers.scripts import load_script

pytestmark = pytest.mark.usefixtures("imports")
FOLDERS = {"cli": "1", "model": "1", "papers/readers": "1"}


@pytest.fixture
def imports(tmp_path, monkeypatch):
    """The file in which processes note what they import."""
    path = tmp_path / "imports.txt"
    path.touch()
    monkeypatch.setenv("TAGGER_IMPORTS", str(path))
    return path


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The script of the page, with tables not recorded, and three folders in ``tagger/``."""
    script = load_script("results")
    for sections in script.SECTIONS.values():
        for name in sections.values():
            (tmp_path / f"{name}.md").write_text("| a |\n", encoding="utf-8")
            (tmp_path / f"{name}.json").write_text("[]", encoding="utf-8")
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "tagger_folders", lambda _files=None: FOLDERS)
    monkeypatch.setattr(record, "papers_read", lambda: "same")
    return script


def measure(folder, name, changes=(), **state):
    """Write a result that was measured before ``changes``, pairs of a folder and its hash."""
    folders = {key: value for key, value in {**FOLDERS, **dict(changes)}.items() if value}
    before = {"tagger_folders": lambda _files: folders, "papers_read": lambda: state.get("papers")}
    about = {"tagger": "1", "script": "", "commit": "1", "machine": "m", "date": "2026-01-01"}
    options = Namespace(output=folder, in_process="papers" in state, state={**about, **state})
    with patch.multiple(record, **before):
        record.write_result(options, name, {}, "| a |")


def test_the_page_names_the_tables_that_are_not_of_the_present_state(page, tmp_path):
    names = [name for sections in page.SECTIONS.values() for name in sections.values()]
    headings = {name: heading for each in page.SECTIONS.values() for heading, name in each.items()}
    for name in names[1:]:
        measure(tmp_path, name, {"cli": "0"} if name == names[1] else {})
    top = page.results_page().partition("\n## ")[0]
    listed = [name for name in names if f"[{headings[name]}](#" in top]
    assert listed == names[:2]
    for name in names[:2]:
        measure(tmp_path, name)
    assert "](#" not in page.results_page().partition("\n## ")[0]


@pytest.mark.parametrize(
    ("changes", "state", "told"),
    [
        ({}, {}, ""),
        ({"cli": "0", "old": "1", "model": None}, {}, "`cli`, `old`."),
        ({}, {"tagger": None}, "`cli`, `model`, `papers/readers`."),
        # An experiment that ran no command depends on what it loaded, and on the papers it read.
        ({"cli": None, "papers/readers": None}, {"papers": "same"}, ""),
        ({"cli": "0"}, {"papers": "same"}, "`cli`."),
        ({}, {"papers": "others"}, "`papers/readers`."),
        ({}, {"papers": "same", "tagger": None}, "`cli`, `model`, `papers/readers`."),
    ],
)
def test_below_an_older_table_stands_what_has_changed_since(page, tmp_path, changes, state, told):
    measure(tmp_path, "gate", changes, **state)
    lines = [line for line in page.results_page().splitlines() if "experiments/gate.py` on" in line]
    assert [line.partition("Changed since: ")[2] for line in lines] == [told]


@pytest.mark.parametrize("in_process", [True, False])
def test_a_result_is_older_only_after_a_change_of_a_file_that_it_used(
    tmp_path, imports, monkeypatch, in_process
):
    monkeypatch.delitem(sys.modules, "tagger.cli.zotero", raising=False)
    environment = {"PYTHONPATH": f"{record.ROOT}:{record.IMPORTS}", "TAGGER_IMPORTS": str(imports)}
    command = [sys.executable, "-c", "import tagger.report.page, tagger.papers.readers.ris"]
    subprocess.run(command, check=True, env={**os.environ, **environment})
    script = tmp_path / "trial.py"
    script.write_text("", encoding="utf-8")
    options = Namespace(output=tmp_path, in_process=in_process, state=record.state_of(script))
    record.write_result(options, "trial", {}, "| a |")
    state = record.read_state(tmp_path, "trial") | {"tagger": "1"}
    lines = record._tagger_files()
    for name in (
        "papers/paper.py",
        "report/page.css.j2",
        "default_model/model.json",
        "papers/readers/ris.py",
        "cli/zotero.py",
    ):
        edited = [f"edited {line}" if line.endswith(f"\t{name}") else line for line in lines]
        assert edited != lines
        monkeypatch.setattr(record, "_tagger_files", lambda edited=edited: edited)
        counts = name != "cli/zotero.py" and not (in_process and "readers" in name)
        assert record.changed_since(state) == [name.rpartition("/")[0]] * counts


def test_an_interrupted_experiment_does_not_repeat_its_parts_unless_the_state_differs(tmp_path):
    measured = []

    def part(tagger, papers=160):
        state = {"tagger": tagger, "script": "1"}
        options = Namespace(cache=tmp_path, state=state, sizes=[papers])
        return record.part(options, "0 random", lambda: {20: measured.append(tagger) or 0.5})

    assert [part(tagger) for tagger in ("1", "1", "2", None, None)] == [{"20": 0.5}] * 5
    part("1", papers=20)
    assert measured == ["1", "2", None, None, "1"]


def test_every_table_of_the_page_is_run_by_make_results():
    sections = load_script("results").SECTIONS.values()
    assert {name for each in sections for name in each.values()} == {*run_all.EXPERIMENTS}
    assert all((run_all.HERE / f"{name}.py").exists() for name in run_all.EXPERIMENTS)


@pytest.mark.parametrize(
    ("change", "folders", "present"),
    [("", FOLDERS, True), ("#", FOLDERS, False), ("", {**FOLDERS, "cli": "2"}, False)],
)
def test_a_result_is_skipped_only_on_the_same_state_and_script(
    tmp_path, monkeypatch, change, folders, present
):
    script = tmp_path / "trial.py"
    script.write_text("print()\n", encoding="utf-8")
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr(run_all, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "tagger_tree", lambda: "1")
    monkeypatch.setattr(record, "tagger_folders", lambda _files=None: FOLDERS)
    options = Namespace(output=tmp_path, in_process=False, state=record.state_of(script))
    record.write_result(options, "trial", [1], "| a |")
    assert json.loads((tmp_path / "trial.json").read_text("utf-8"))["figures"] == [1]
    script.write_text(f"print()\n{change}", encoding="utf-8")
    monkeypatch.setattr(record, "tagger_folders", lambda _files=None: folders)
    assert run_all.is_present("trial") == present
