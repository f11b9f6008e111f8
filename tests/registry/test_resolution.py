import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.samples import TAGGER, page

from tagger.errors import TaggerError
from tagger.registry import Registry

STORE = Path("mlruns")


@pytest.fixture
def asked(monkeypatch):
    """Names that MLflow was asked for."""
    names = []
    find = Registry.find

    def recording(self, name):
        names.append(name)
        return find(self, name)

    monkeypatch.setattr(Registry, "find", recording)
    return names


def test_a_name_is_looked_up_once_until_the_store_changes(registry, log, asked):
    first, second = log(), log(seed=1)
    asked.clear()
    assert [registry.load_named("champion").name for _ in range(3)] == ["tagger/1"] * 3
    assert registry.load_named(first.run_id).name == "tagger/1"
    assert Registry().load_named("champion").name == "tagger/1"
    assert asked == ["champion", first.run_id]
    registry.name_version("champion", second)
    assert [registry.load_named("champion").name for _ in range(2)] == ["tagger/2"] * 2
    assert asked == ["champion", first.run_id, "champion"]


def test_a_change_by_anybody_counts(registry, log, asked):
    log()
    asked.clear()
    registry.load_named("champion")
    database = sqlite3.connect(STORE / "mlflow.db")
    with database:
        database.execute("DELETE FROM registered_model_aliases")
    database.close()
    with pytest.raises(TaggerError, match="there is no model 'champion'"):
        registry.load_named("champion")
    assert asked == ["champion"] * 2


def test_where_changes_cannot_be_told_mlflow_is_asked(registry, log, asked):
    log()
    asked.clear()
    database = sqlite3.connect(STORE / "mlflow.db")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    for _ in range(2):
        assert registry.load_named("champion").name == "tagger/1"
    assert asked == ["champion"] * 2
    assert registry.store.resolutions.state() is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"state": "", "models": 1}'])
def test_a_damaged_file_is_done_without(registry, log, asked, content):
    log()
    asked.clear()
    registry.load_named("champion")
    (STORE / "resolved_models.json").write_bytes(content)
    assert registry.load_named("champion").name == "tagger/1"
    assert asked == ["champion"] * 2


def test_a_model_that_was_changed_or_is_gone_is_not_taken(registry, log):
    log()
    registry.load_named("champion")
    folder = registry.resolve("champion").folder
    (folder / "model.json").write_text((folder / "model.json").read_text() + "\n")
    with pytest.raises(TaggerError, match="is not the file that the run of tagger/1 recorded"):
        registry.load_named("champion")
    shutil.rmtree(folder)
    with pytest.raises(TaggerError, match="the model of tagger/1 cannot be read"):
        registry.load_named("champion")


def test_a_store_that_is_not_there_is_not_made(registry):
    shutil.rmtree(STORE)
    with pytest.raises(TaggerError, match="there is no model 'champion'"):
        registry.load_named("champion")
    assert not STORE.exists()


def test_a_command_on_a_known_model_does_not_load_mlflow(registry, log):
    log()
    Path("page.txt").write_text(page("One", "Two"), encoding="utf-8")
    command = ["explain", "One", "page.txt"]
    code = (
        "import sys; from tagger.cli import app; "
        f"app({command}, standalone_mode=False); print('mlflow' in sys.modules)"
    )
    subprocess.run([TAGGER, "tag", "page.txt"], check=True)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False", done.stderr
