"""The model as MLflow's own tools see it."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from helpers.ports import free_port, wait_for

from tagger.decision import ReviewRule, decide
from tagger.model import load_model
from tagger.paper import Paper

TABLE = {"title": ["A survey of the court", "The heart"], "abstract": ["Judge and trial.", ""]}


@pytest.fixture
def expected(saved_model):
    model = load_model(saved_model)
    papers = [Paper(*row) for row in zip(*TABLE.values(), strict=True)]
    return decide(papers, model.predict_proba(papers), model.taxonomy, "", ReviewRule())


def test_it_predicts_a_table_as_tagger_does(registry, log, expected):
    import mlflow
    import pandas as pd

    version = log()
    with registry.store.reading(), registry.store.current():
        model = mlflow.pyfunc.load_model(f"models:/tagger/{version.number}")
    table = model.predict(pd.DataFrame(TABLE))
    for (_, row), decision in zip(table.iterrows(), expected, strict=True):
        assert row["kind"] == list(decision.tags["kind"])
        assert row["field.confidence"] == decision.confidence["field"]
        assert row["tagger.review"] == (decision.review is not None)
        assert row["tagger.reason"] == (decision.review.reason if decision.review else "")
    sure = model.predict(pd.DataFrame(TABLE), params={"min_confidence": 0.5})
    assert sure["tagger.review"].sum() < len(sure) or not table["tagger.review"].all()
    assert model.predict(pd.DataFrame(TABLE), params={"min_confidence": 1.0})["tagger.review"].all()
    promised = model.predict(pd.DataFrame(TABLE), params={"target_precision": 0.99})
    assert promised["tagger.review"].all(), "twelve labelled papers promise nothing"


def test_it_has_a_signature_an_example_and_pinned_requirements(registry, log):
    import mlflow
    from numpy import __version__ as numpy_version

    log()
    with registry.store.reading(), registry.store.current():
        folder = Path(mlflow.artifacts.download_artifacts("models:/tagger@champion"))
        signature = mlflow.models.get_model_info("models:/tagger@champion").signature
    assert signature.inputs.input_names() == ["title", "abstract"]
    assert signature.outputs.input_names()[:2] == ["kind", "field"]
    assert [param.name for param in signature.params] == [
        "min_confidence",
        "target_precision",
        "effort",
    ]
    example = json.loads((folder / "input_example.json").read_text(encoding="utf-8"))
    assert example["columns"] == ["title", "abstract"]
    pins = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert all("==" in pin for pin in pins)
    assert f"numpy=={numpy_version}" in pins
    assert not any(pin.startswith(("torch", "setfit", "scikit-learn")) for pin in pins)
    assert not [*folder.rglob("*.pkl"), *folder.rglob("*.pickle")]


def test_it_loads_without_pytorch_scikit_learn_or_an_installed_tagger(registry, log, tmp_path):
    import mlflow

    log()
    with registry.store.reading(), registry.store.current():
        folder = mlflow.artifacts.download_artifacts("models:/tagger@champion")
    code = (
        "import sys, mlflow, pandas as pd\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "table = model.predict(pd.DataFrame({'title': ['A'], 'abstract': ['The heart']}))\n"
        "import tagger\n"
        "print(tagger.__file__)\n"
        "print([m for m in ('torch', 'sklearn', 'transformers', 'setfit') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    place, heavy = done.stdout.splitlines()
    assert place == f"{folder}/code/tagger/__init__.py"
    assert heavy == "[]"


@pytest.mark.mlflow
def test_mlflow_serves_it(registry, log, expected, tmp_path):
    log()
    port = free_port()
    mlflow = Path(sys.executable).with_name("mlflow")
    command = [mlflow, "models", "serve", "--model-uri", "models:/tagger@champion"]
    command += ["--env-manager", "local", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": registry.store.tracking_uri}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (tmp_path / "log").open("w") as output:
        server = subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=output, stderr=output
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health")
        rows = [list(row) for row in zip(*TABLE.values(), strict=True)]
        content = {"dataframe_split": {"columns": list(TABLE), "data": rows}}

        def ask(content):
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations",
                json.dumps(content).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["predictions"]

        answers = ask(content)
        assert [row["kind"] for row in answers] == [list(d.tags["kind"]) for d in expected]
        assert all(
            row["tagger.review"] for row in ask({**content, "params": {"min_confidence": 1.0}})
        )
        with pytest.raises(urllib.error.HTTPError):
            ask({"dataframe_split": {"columns": ["name"], "data": [["x"]]}})
    finally:
        server.terminate()
        server.wait(60)
