"""The model in the tools of MLflow."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tagger.model import ReviewRule, decide, load_model, novelty_reasons
from tagger.papers import Paper

TABLE = {"title": ["A survey of the court", "The heart"], "abstract": ["Judge and trial.", ""]}


@pytest.fixture
def expected(saved_model):
    model = load_model(saved_model)
    papers = [Paper(*row) for row in zip(*TABLE.values(), strict=True)]
    predictions = model.predict(papers)
    similarity = model.reference.similarity_of(predictions.vectors)
    novelty = novelty_reasons(papers, similarity, model.reference)
    probabilities = predictions.probabilities
    return decide(papers, probabilities, model.taxonomy, "", ReviewRule(), novelty)


@pytest.fixture
def folder(registry, log):
    """The folder of a version as MLflow downloads it."""
    import mlflow

    log()
    with registry.store.reading(), registry.store.current():
        return Path(mlflow.artifacts.download_artifacts("models:/tagger@champion"))


def test_it_predicts_a_table_as_tagger_does(folder, expected):
    import mlflow
    import pandas as pd

    model = mlflow.pyfunc.load_model(folder)
    table = model.predict(pd.DataFrame(TABLE))
    for (_, row), decision in zip(table.iterrows(), expected, strict=True):
        assert row["kind"] == list(decision.tags["kind"])
        assert row["field.confidence"] == decision.confidence["field"]
        assert row["tagger.review"] == (decision.review is not None)
        assert row["tagger.reason"] == (decision.review.reason if decision.review else "")
    strict = model.predict(pd.DataFrame(TABLE), params={"min_confidence": 1.0})
    assert strict["tagger.reason"].str.contains("kind: ").all()
    titles = model.predict(pd.DataFrame({"title": TABLE["title"]}))
    assert titles.iloc[1].equals(table.iloc[1]), "the second paper has no abstract"
    checked = model.predict(pd.DataFrame(TABLE), params={"target_precision": 0.99})
    assert checked["tagger.review"].all(), "twelve labelled papers are too few for the target"


def test_it_has_a_signature_an_example_and_pinned_requirements(folder):
    import mlflow
    from numpy import __version__ as numpy_version

    signature = mlflow.models.Model.load(folder).signature
    assert signature.inputs.input_names() == ["title", "abstract"]
    assert signature.outputs.input_names()[:2] == ["kind", "field"]
    names = [param.name for param in signature.params]
    assert names == ["min_confidence", "target_precision", "effort"]
    example = json.loads((folder / "input_example.json").read_text(encoding="utf-8"))
    assert example["columns"] == ["title", "abstract"]
    pins = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert all("==" in pin for pin in pins)
    assert f"numpy=={numpy_version}" in pins
    assert not any(pin.startswith(("torch", "setfit", "scikit-learn")) for pin in pins)
    assert not [*folder.rglob("*.pkl"), *folder.rglob("*.pickle")]


def test_it_loads_without_pytorch_scikit_learn_or_an_installed_tagger(folder, tmp_path):
    code = (
        "import sys, mlflow, pandas as pd\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "table = model.predict(pd.DataFrame({'title': ['A'], 'abstract': ['The heart']}))\n"
        "import tagger\n"
        "print(tagger.__file__)\n"
        "print([m for m in ('torch', 'sklearn', 'transformers', 'setfit') if m in sys.modules])\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{folder}/code/tagger/__init__.py", "[]"]


def test_mlflow_serves_it(folder, expected):
    import mlflow
    from fastapi.testclient import TestClient
    from mlflow.pyfunc.scoring_server import init

    client = TestClient(init(mlflow.pyfunc.load_model(folder)))

    def ask(table, **more):
        return client.post("/invocations", json={"inputs": table, **more})

    rows = ask(TABLE).json()["predictions"]
    assert [row["kind"] for row in rows] == [list(one.tags["kind"]) for one in expected]
    rows = ask(TABLE, params={"min_confidence": 1.0}).json()["predictions"]
    assert all(row["tagger.review"] for row in rows)
    assert ask({"name": ["x"]}).status_code == 400
