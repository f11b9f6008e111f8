import json
import re
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
from helpers.samples import (
    QUICK,
    label_line,
    page,
    ran,
    refused,
    run,
    run_python,
    untimed,
    write_labels,
)
from helpers.tiny_training import log_tiny
from typer.testing import CliRunner

from tagger.cli import app
from tagger.registry import Registry

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"


def commands():
    import typer

    def walk(group, path):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, f"{path}{name} ")
            else:
                yield path + name

    return sorted(walk(typer.main.get_command(app), ""))


def test_every_command_has_help_an_example_and_a_place_in_the_reference():
    reference = REFERENCE.read_text(encoding="utf-8")
    for name in commands():
        help_text = CliRunner().invoke(app, [*name.split(), "--help"]).stdout
        assert "Example: tagger " + name in " ".join(help_text.split())
        assert re.search(rf"^#+ `tagger {name}`$", reference, re.MULTILINE), name


def test_help_loads_no_model_library():
    code = (
        "import sys, tagger.cli; "
        "print({'torch', 'mlflow', 'numpy', 'sklearn', 'onnxruntime', 'pydantic', 'yaml'} "
        "& set(sys.modules))"
    )
    assert run_python(code) == "set()\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.txt", None, "missing.txt: no such file"),
        ("folder", "folder", "folder: no file in this folder"),
        ("image.png", b"\x89PNG\0", "image.png: looks like a picture"),
        ("latin.txt", b"caf\xe9\n\nx", "latin.txt:1: is not UTF-8 text"),
        ("header.txt", b"new\n\nMar 12\n", "header.txt: looks like a text without a list"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, name, content, reason):
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    assert refused(reason, "tag", name, "--output", "out", cwd=tmp_path) == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "line", "reason"),
    [
        ("seed.jsonl", label_line("A", tags={"kind": ["poem"]}), "unknown tag 'poem'"),
        ("taxonomy.yaml", "name: x\nname: y", "taxonomy.yaml:2: a field is repeated: "),
    ],
)
def test_bad_labels_and_taxonomy_are_one_line(label_folder, file, line, reason):
    (label_folder / file).write_text(line, encoding="utf-8")
    refused(reason, "train", cwd=label_folder.parent)
    assert not (label_folder.parent / "mlruns").exists()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("tag", "page.txt"), "'tagger train' makes the first version"),
        (("review", "push", "none.txt"), "none.txt: no such file"),
        (("review", "push", "page.txt", "--strategy", "guess"), "Known: disagreement, diversity"),
        (("review", "push", "page.txt"), "no Label Studio is running here"),
        (("review", "pull"), "'tagger review serve'"),
        (("review", "backend"), "no Label Studio is running here"),
        (("review", "pull", "--labels", "nowhere"), "nowhere: no such label folder"),
        (("labels", "audit"), "error: found no model 'champion' in "),
        (("labels", "audit", "--model", "labels"), "has no out-of-fold predictions"),
    ],
)
def test_a_command_without_what_it_needs_is_one_line(label_folder, command, reason):
    (label_folder.parent / "page.txt").write_text(page("One"), encoding="utf-8")
    refused(reason, *command, cwd=label_folder.parent)


def test_an_invalid_choice_is_named_without_the_words_of_pydantic(tmp_path):
    said = run("tag", "page.txt", "--effort", "none", cwd=tmp_path, code=2).stderr
    assert "Invalid value for '--effort': 'none' is not one of" in said


def test_strategies_are_listed_with_what_they_do():
    listed = ran("review", "strategies")
    assert {"uncertainty", "diversity", "random", "disagreement", "unfamiliar"} <= set(listed)
    assert all(listed.values())


def test_a_target_precision_decides_what_goes_to_review(saved_model, tmp_path):
    (tmp_path / "page.txt").write_text(page("One", "Two"), encoding="utf-8")
    command = ("tag", "page.txt", "--model", saved_model, "--json", "--target-precision")
    strict = run(*command, 0.95, cwd=tmp_path)
    report = json.loads(strict.stdout)
    assert report["to_review"] == report["papers"] == 2
    assert report["target"]["target_precision"] == 0.95
    assert report["target"]["expected_coverage"] == {"kind": 0, "field": 0}
    assert "cannot be shown" in strict.stderr, "the model has no audit sample"
    done = run(*command, 1, cwd=tmp_path, code=2)
    assert "target-precision" in done.stderr


def test_wrong_options_are_exit_code_2():
    for line in (
        "tag",
        "tag x --min-confidence 7",
        "tag x --effort lazy",
        "train --folds 1",
        "promote --max-tag-loss 2",
    ):
        assert run(*line.split()).returncode == 2, line


@pytest.mark.training
def test_tagging_a_page_twice_gives_the_same_bytes(workspace, tmp_path, monkeypatch):
    # Nothing is remembered by the first two, so that each run has to encode.
    for out, cache in (("a", "off"), ("b", "off"), ("c", tmp_path / "c"), ("d", tmp_path / "c")):
        monkeypatch.setenv("TAGGER_CACHE", str(cache))
        done = run("tag", "page.txt", "-o", out, cwd=workspace, code=0)
        assert "2 entries, 2 papers" in done.stdout
    for name in ("tags.jsonl", "tags.csv", "near_duplicates.jsonl"):
        assert len({untimed((workspace / out / name).read_bytes()) for out in "abcd"}) == 1


@pytest.mark.training
def test_the_same_inputs_are_not_trained_on_twice(workspace):
    (workspace / "texts" / "README.md").write_text("About these texts.\n", encoding="utf-8")
    given = ("--encoder", "tiny/encoder", "--texts", "texts")
    done = run("train", *QUICK, *given, "--if-changed", "--json", cwd=workspace, code=0)
    assert json.loads(done.stdout) == {"model": "tagger/1", "trained": False}
    assert "README" not in done.stderr


@pytest.mark.training
def test_an_audit_speaks_of_labels_and_changes_none(workspace):
    before = (workspace / "labels" / "seed.jsonl").read_bytes()
    done = run("labels", "audit", "--min-confidence", 0.5, "--json", cwd=workspace)
    report = json.loads(done.stdout)
    assert done.returncode == (1 if report["suspects"] else 0)
    assert (report["model"], report["labels"], report["pushed"]) == ("tagger/1", 12, 0)
    assert (workspace / "labels" / "seed.jsonl").read_bytes() == before


@pytest.mark.training
def test_a_plan_trains_its_learning_curve_once(workspace):
    first, again = (run("labels", "plan", "--json", cwd=workspace) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert "Learning curve" in first.stderr or "Encoders" in first.stderr
    assert again.stdout == first.stdout
    assert "Learning curve" not in again.stderr
    assert {tag["facet"] for tag in json.loads(first.stdout)["tags"]} == {"kind", "field"}


@pytest.mark.training
def test_a_model_that_mlflow_does_not_take_is_kept(workspace, tmp_path):
    from mlflow import MlflowClient

    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    uri = f"sqlite:///{tmp_path}/store.db"
    MlflowClient(uri).create_experiment("tagger", f"file://{tmp_path}/file/artifacts")
    given = ("--encoder", workspace / "tiny" / "encoder", "--labels", workspace / "labels")
    done = run("train", *QUICK, *given, cwd=tmp_path, store=uri, code=2)
    *_, error = done.stderr.splitlines()
    assert "the MLflow store cannot be used (" in error
    assert "file' is not" in error or "Not a directory" in error
    (kept,) = tmp_path.glob("tagger-model-*")
    assert f"the model is kept in {kept.name}" in error
    again = ran("tag", workspace / "page.txt", "--model", kept, cwd=tmp_path)
    assert again["model"].startswith("local/")


@pytest.fixture(scope="module")
def challenged(tmp_path_factory, taxonomy, saved_model):
    """A workspace with a champion and a challenger that took no training."""
    root = tmp_path_factory.mktemp("challenged")
    labels = write_labels(root / "labels", taxonomy)
    (root / "page.txt").write_text(page(*map(str, range(6))), encoding="utf-8")
    with chdir(root):
        for seed in range(2):
            log_tiny(Registry(), labels, saved_model, 0.75, seed)
    return root


def test_versions_are_compared_promoted_rolled_back_and_listed(challenged):
    root = challenged
    assert ran("tag", "page.txt", cwd=root)["model"] == "tagger/1"
    compared = ran("compare", "--digest", "page.txt", "--html", "page.html", cwd=root)
    assert (compared["before"], compared["after"]) == ("tagger/1", "tagger/2")
    assert compared["churn"]["papers"] == 6
    assert compared["page"] == "comparisons/against_tagger_1.html"
    assert "tagger/2 against tagger/1" in (root / "page.html").read_text(encoding="utf-8")
    text = run("compare", "1", "2", cwd=root).stdout
    assert f"tagger/2 against tagger/1: {compared['verdict']}" in text

    refused = json.loads(run("promote", "2", "--json", cwd=root, code=1).stdout)
    assert (refused["promoted"], refused["replaced"]) == (False, None)
    promoted = ran("promote", "2", "--force", "a test", cwd=root)
    expected = {"promoted": True, "replaced": "tagger/1", "forced": "a test"}
    assert promoted | expected == promoted
    assert len(promoted["rules"]) == 6
    # Nothing but seed labels: what the gate needs to know is not known.
    assert any(rule["cannot_tell"] for rule in promoted["rules"])
    assert ran("tag", "page.txt", cwd=root)["model"] == "tagger/2"
    back = ran("rollback", "--reason", "enough", cwd=root)
    assert back == {"model": "tagger/1", "given_up": "tagger/2", "reason": "enough"}
    first, second = ran("history", cwd=root)["versions"]
    assert (first["aliases"], first["why"]) == (["champion"], "there was no champion")
    assert second["why"].endswith("rolled back to tagger/1: enough")
    shown = run("history", cwd=root).stdout
    assert re.search(r"not known.*\n.*seed [01]\.\d\d", shown)
    assert "tagger/2: not known on your papers" in shown


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("compare", "1", "9"), "error: found no model '9' in "),
        (("compare", "1", "2", "--digest", "none.txt"), "none.txt: no such file"),
        (("promote", "2", "--force", " "), "--force needs a reason"),
        (("rollback",), "no previous champion"),
    ],
)
def test_versions_that_are_not_there_are_one_line(challenged, command, reason):
    refused(reason, *command, cwd=challenged)


def test_a_digest_unlike_the_labels_is_warned_of_and_recorded(challenged):
    from mlflow import MlflowClient

    shutil.copy(challenged / "page.txt", challenged / "again.txt")
    command = ("tag", "page.txt", "again.txt", "--output", "odd", "--json")
    done = run(*command, cwd=challenged)
    drift = json.loads(done.stdout)["drift"]
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == len(drift["warnings"]) > 0
    assert "tagger review push" in warnings[0]
    # Half a line, as of a command that was killed, harms nothing.
    records = challenged / "mlruns" / "tag_runs.jsonl"
    written = records.read_text(encoding="utf-8")
    records.write_text(written * 2 + '{"id": "', encoding="utf-8")
    assert run("history", cwd=challenged).returncode == 0
    assert not records.exists()
    client = MlflowClient(f"sqlite:///{challenged}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("tagger-digests")
    runs = client.search_runs([experiment.experiment_id])
    [recorded] = [each for each in runs if "again.txt" in each.data.params["pages"]]
    # No text of a paper is in it.
    assert recorded.data.params == {"model": "tagger/1", "pages": "page.txt, again.txt"}
    assert client.list_artifacts(recorded.info.run_id) == []
    assert recorded.info.run_name == "page.txt and 1 more"
    assert recorded.data.metrics["unfamiliar_share"] == drift["unfamiliar_share"]
    assert "kind/share/survey" in recorded.data.metrics
    assert recorded.data.tags["warnings"]


def test_a_store_that_cannot_be_written_does_not_stop_tagging(challenged):
    uri = f"sqlite:///file:{challenged}/mlruns/mlflow.db?mode=ro&uri=true"
    done = run("tag", "page.txt", "-o", "read-only", cwd=challenged, store=uri, code=0)
    assert "MLflow did not record the run" in done.stderr
    assert "it is read-only" in done.stderr
    assert (challenged / "read-only" / "tags.jsonl").exists()
