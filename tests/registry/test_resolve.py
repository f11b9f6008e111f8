import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from helpers.samples import page, run, run_python

from tagger import Tagger
from tagger.errors import TaggerError
from tagger.model import load_model
from tagger.registry import Registry, find_model_folder, load_model_by_name

STORE = Path("mlruns")


@pytest.fixture
def asked(monkeypatch):
    """Names that MLflow was asked for."""
    names = []
    find = Registry.find
    monkeypatch.setattr(Registry, "find", lambda self, name: names.append(name) or find(self, name))
    return names


def test_a_model_is_known_by_its_folder_and_by_the_names_of_a_version(registry, log, saved_model):
    version = log()
    for name in ("champion", "1", "tagger/1", "tagger", version.run_id):
        assert load_model_by_name(name).name == "tagger/1"
    assert load_model_by_name(saved_model).name.startswith("local/")


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(TaggerError, match="is not a saved model") as caught:
        Tagger.load(tmp_path)
    assert caught.value.path == str(tmp_path)


def test_a_name_is_looked_up_once_until_the_store_changes(registry, log, asked):
    first, second = log(), log(seed=1)
    asked.clear()
    for name in ("champion", "champion", first.run_id, "champion"):
        assert load_model_by_name(name).name == "tagger/1"
    assert asked == ["champion", first.run_id]
    registry.set_alias("champion", second)
    assert [load_model_by_name("champion").name for _ in range(2)] == ["tagger/2"] * 2
    assert asked == ["champion", first.run_id, "champion"]
    # Also if another process changes it.
    database = sqlite3.connect(STORE / "mlflow.db")
    with database:
        database.execute("DELETE FROM registered_model_aliases")
    with pytest.raises(TaggerError, match="found no challenger"):
        find_model_folder("challenger", Path())
    # With a write-ahead log, changes cannot be detected.
    database.execute("PRAGMA journal_mode = WAL")
    with database:
        database.execute("UPDATE registered_models SET description = 'x'")
    assert registry.store.state() is None
    database.close()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff", b'{"state": "", "models": 1}', b'{"state": [], "models": 1}']
)
def test_a_damaged_cache_file_is_ignored(registry, log, asked, content):
    log()
    asked.clear()
    load_model_by_name("champion")
    (STORE / "resolved_models.json").write_bytes(content)
    assert load_model_by_name("champion").name == "tagger/1"
    assert asked == ["champion"] * 2


def test_a_changed_or_missing_model_is_refused(registry, log, tmp_path):
    log()
    load_model_by_name("champion")
    folder = find_model_folder("champion", tmp_path / "scratch").folder
    (folder / "model.json").write_text((folder / "model.json").read_text() + "\n")
    with pytest.raises(TaggerError, match="is not the file that the run of tagger/1 recorded"):
        load_model_by_name("champion")
    shutil.rmtree(folder)
    with pytest.raises(TaggerError, match="the model of tagger/1 cannot be read"):
        load_model_by_name("champion")


def test_an_unknown_model_is_an_error_and_no_store_is_created(tmp_path, monkeypatch, label_folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name, problem in {
        "7": "found no model '7'",
        "local/1234": "name of an unregistered model",
        "empty": "is not a saved model",
    }.items():
        with pytest.raises(TaggerError, match=problem):
            load_model_by_name(name)
    with pytest.raises(TaggerError, match="is a label folder"):
        find_model_folder(label_folder, tmp_path)
    assert not STORE.exists()


def test_a_command_on_a_cached_model_does_not_import_mlflow(registry, log):
    log()
    Path("page.txt").write_text(page("One", "Two"), encoding="utf-8")
    command = ["explain", "One", "page.txt"]
    code = (
        "import sys; from tagger.cli import app; "
        f"app({command}, standalone_mode=False); print('mlflow' in sys.modules)"
    )
    run("tag", "page.txt", code=0)
    assert run_python(code).splitlines()[-1] == "False"


@pytest.fixture
def shipped(saved_model, tmp_path, monkeypatch):
    """A folder that stands in for the model that ships with tagger."""
    folder = shutil.copytree(saved_model, tmp_path / "default_model")
    digest = load_model(folder).digest
    (folder / "training.json").write_text(json.dumps({"model": digest}), encoding="utf-8")
    monkeypatch.setattr("tagger.registry.resolve._SHIPPED_FOLDER", folder)
    return folder


def test_the_shipped_model_is_used_where_there_is_no_champion(
    shipped, registry, log, monkeypatch, tmp_path, caplog
):
    caplog.set_level("INFO")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    name = load_model_by_name("champion").name
    assert name.startswith("local/shipped-")
    [record] = caplog.records
    assert name in record.message
    assert not STORE.exists()
    monkeypatch.chdir(tmp_path)
    # A store without a champion, then with one.
    assert load_model_by_name("champion").name == name
    log()
    assert load_model_by_name("champion").name == "tagger/1"
    assert [load_model_by_name(one).name for one in ("shipped", name)] == [name] * 2
    with pytest.raises(TaggerError, match="another version of tagger"):
        load_model_by_name("local/shipped-0123456789ab")


def test_without_mlflow_a_store_is_not_passed_over(shipped, registry, monkeypatch):
    monkeypatch.setattr("tagger.registry.resolve.find_spec", lambda _name: None)
    monkeypatch.setattr("tagger.registry.versions.find_spec", lambda _name: None)
    with pytest.raises(TaggerError, match="needs MLflow"):
        load_model_by_name("champion")
    shutil.rmtree(STORE)
    assert load_model_by_name("champion").name.startswith("local/shipped-")


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("model.json", "no model ships"),
        ("training.json", "no model ships"),
        ("heads.safetensors", "missing"),
    ],
)
def test_a_shipped_model_that_is_damaged_or_replaced_is_refused(
    shipped, tmp_path, monkeypatch, file, problem
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    content = (shipped / file).read_bytes()
    (shipped / file).write_bytes(content[:-2] + b" }")
    with pytest.raises(TaggerError, match=r"was replaced|does not match the hash"):
        load_model_by_name("champion")
    (shipped / file).unlink()
    with pytest.raises(TaggerError, match=problem):
        load_model_by_name("champion")


def test_tag_says_if_the_champion_is_of_another_taxonomy(
    saved_model, label_folder, tmp_path, monkeypatch, capsys
):
    from tagger.cli.tag import _warn_of_other_tags

    model = load_model(saved_model)
    monkeypatch.chdir(saved_model)  # a folder without labels
    _warn_of_other_tags("champion", model)
    monkeypatch.chdir(tmp_path)
    _warn_of_other_tags("champion", model)
    assert capsys.readouterr().err == ""
    path = label_folder / "taxonomy.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace('"law"', '"rights"'), encoding="utf-8")
    _warn_of_other_tags("champion", model)
    said = capsys.readouterr().err
    assert "another taxonomy ('small'): the facet 'field' differs" in said


@pytest.mark.parametrize(
    ("title", "hint"),
    [
        ("Heart and curts", "Perhaps you meant 'Hearts and courts'"),
        ("slow trian", "Perhaps you meant 'A Slow-Train Ride to the Coast of Norway'"),
        ("zebra", "or an id: Hearts and courts; A Slow-Train Ride to the Coast of Norway"),
        ("...", "or an id: Hearts and courts"),
    ],
)
def test_a_misspelt_title_gets_the_nearest_one_or_those_that_there_are(
    saved_model, tmp_path, title, hint
):
    titles = ("Hearts and courts", "A Slow-Train Ride to the Coast of Norway")
    (tmp_path / "page.txt").write_text(page(*titles), encoding="utf-8")
    done = run("explain", title, "page.txt", "--model", saved_model, cwd=tmp_path, code=2)
    assert hint in done.stderr
