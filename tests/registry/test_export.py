"""Models and labels for other tools, and back."""

import json

import datasets
import numpy as np
import pytest
from helpers.samples import label_line, page, run, small_taxonomy, write_labels
from helpers.tiny_encoder import save_tiny_encoder

from tagger.labels import LabelStore
from tagger.model import OnnxEncoder
from tagger.registry import Registry, trained_encoder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace whose champion has a trained encoder, and the champion exported to SetFit."""
    root = tmp_path_factory.mktemp("export")
    folder = write_labels(root / "labels", small_taxonomy())
    words = {"survey": "survey", "method": "network", "study": "question"}
    fields = {"heart": ["heart"], "court": ["law"], "trial": []}
    lines = [
        label_line(f"{kind} {word} {n}", text=word, tags={"kind": [name], "field": tags})
        for n in range(3)
        for name, kind in words.items()
        for word, tags in fields.items()
    ]
    (folder / "seed.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    encoder = save_tiny_encoder(root / "tiny")
    options = ("--folds", 2, "--max-tokens", 32, "--epochs", 3, "--encoder", encoder)
    run("train", "--recipe", "setfit-supcon", *options, cwd=root, code=0)
    run("export", "--to", "setfit", "out", cwd=root, code=0)
    return root


def papers_of(root):
    return [label.paper for label in LabelStore(root / "labels").labels()]


def tags_of(model, papers, facet):
    found = model.rule().predict_labels(facet, model.predict_proba(papers)[facet.name])
    return np.asarray(found)


@pytest.mark.mlflow
@pytest.mark.training
def test_setfit_loads_what_is_exported_and_gives_the_same_tags(trained, monkeypatch):
    from setfit import SetFitModel

    monkeypatch.chdir(trained)
    registry = Registry()
    model, papers = registry.load(registry.champion()), papers_of(trained)
    for facet in model.taxonomy.facets:
        loaded = SetFitModel.from_pretrained(str(trained / "out" / facet.name))
        assert loaded.labels == list(facet.tag_names)
        predicted = loaded.predict([paper.text for paper in papers])
        if facet.exclusive:
            predicted = np.array(facet.tag_names) == np.array(predicted)[:, None]
        same = (np.asarray(predicted) == tags_of(model, papers, facet)).all(axis=1)
        assert same.mean() >= 0.8
    assert "what the words of a paper add" in " ".join(
        (trained / "out" / "kind" / "README.md").read_text(encoding="utf-8").lower().split()
    )
    again = run("export", "--to", "setfit", "out", cwd=trained, code=2)
    assert "not overwritten" in again.stderr


@pytest.mark.mlflow
@pytest.mark.training
def test_a_setfit_checkpoint_becomes_a_version_only_if_its_pickle_is_trusted(trained, monkeypatch):
    checkpoint = trained / "out" / "kind"
    options = ("--folds", 2, "--max-tokens", 32)
    refused = run("train", "--from-setfit", checkpoint, *options, cwd=trained, code=2)
    assert "pickle" in refused.stderr
    assert "--trust-pickle" in refused.stderr
    for other in (("--recipe", "frozen"), ("--encoder", "tiny/encoder")):
        refused = run("train", "--from-setfit", checkpoint, *other, cwd=trained, code=2)
        assert "cannot be combined" in refused.stderr
    (trained / "page.txt").write_text(page("Survey of a heart"), encoding="utf-8")
    refused = run("tag", "page.txt", "--model", checkpoint, cwd=trained, code=2)
    assert "tagger train --from-setfit" in refused.stderr
    command = ("train", "--from-setfit", checkpoint, "--trust-pickle", *options)
    done = run(*command, cwd=trained, code=0)
    assert "may run any code" in done.stderr
    monkeypatch.chdir(trained)
    registry = Registry()
    before, after = registry.load(registry.champion()), registry.load(registry.challenger())
    papers, facet = papers_of(trained), before.taxonomy.facet("kind")
    same = (tags_of(before, papers, facet) == tags_of(after, papers, facet)).all(axis=1)
    assert same.mean() >= 0.8
    assert not after.heads["kind"].lexical.weights.any()
    assert after.heads["kind"].encoder.weights.any(axis=1).all()
    run("promote", "challenger", "--force", "a test", cwd=trained, code=0)
    run("train", "--heads-only", "--trust-pickle", cwd=trained, code=0)
    content = json.loads((checkpoint / "config_setfit.json").read_text())
    (checkpoint / "config_setfit.json").write_text(
        json.dumps({**content, "labels": ["a", "b", "c"]})
    )
    refused = run(*command, cwd=trained, code=2)
    assert "no facet has all labels of the checkpoint: a, b, c" in refused.stderr


@pytest.mark.mlflow
@pytest.mark.training
def test_the_encoder_is_written_with_32_bits(trained, monkeypatch):
    run("export", "--to", "onnx", "onnx", cwd=trained, code=0)
    names = {path.name for path in (trained / "onnx").iterdir()}
    assert names == {"encoder.float32.onnx", "tokenizer.json"}
    monkeypatch.chdir(trained)
    registry = Registry()
    text = ["survey heart"]
    encoder = trained_encoder(registry, registry.champion())
    expected = encoder.encode(text, normalize_embeddings=True)
    (trained / "onnx" / "encoder.float32.onnx").rename(trained / "onnx" / "encoder.onnx")
    found = OnnxEncoder(trained / "onnx", 32).encode(text)
    assert np.allclose(found, expected, atol=1e-4)
    served = registry.load(registry.champion()).encoder.encode(text)
    assert float((served * found).sum()) > 0.97


def test_labels_are_a_dataset_with_a_split_that_measures(label_folder):
    lines = [
        label_line("Arrived 1", source="review", queue="audit", annotator="eve@example.org"),
        label_line("Arrived 2", source="review", queue="uncertain", tags={"field": ["law"]}),
    ]
    (label_folder / "corrections.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    root = label_folder.parent
    run("export", "--to", "dataset", "out", cwd=root, code=0)
    splits = datasets.load_from_disk(root / "out")
    assert {name: len(part) for name, part in splits.items()} == {"train": 13, "test": 1}
    features = splits["test"].features
    assert features["tags.kind"].names == ["survey", "method", "study"]
    (row,) = splits["test"].to_list()
    assert (row["title"], row["tags.kind"], row["tags.field"]) == ("Arrived 1", 1, [])
    other = next(row for row in splits["train"].to_list() if row["title"] == "Arrived 2")
    assert other["tags.kind"] is None
    assert [features["tags.field"].feature.int2str(tag) for tag in other["tags.field"]] == ["law"]
    assert "13 in `train`, 1 in `test`" in (root / "out" / "README.md").read_text(encoding="utf-8")
    everything = b"".join(path.read_bytes() for path in (root / "out").rglob("*") if path.is_file())
    assert b"eve@" not in everything
    refusal = run("export", "--to", "onnx", "more", "--push-to-hub", "me/mine", cwd=root, code=2)
    assert "hf upload NAME FOLDER" in refusal.stderr
