import numpy as np
import pytest
from helpers.samples import QUICK, label_line, run
from helpers.tiny_encoder import save_tiny_encoder

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.model import load_model
from tagger.paper import Paper
from tagger.refitting import refit_heads
from tagger.registry import Registry
from tagger.registry.training_run import settings_of
from tagger.taxonomy import Taxonomy
from tagger.training import TrainingSettings, train

TOPICS = [
    ("survey", ["heart"], "survey heart drug"),
    ("method", ["law"], "network court judge"),
    ("study", [], "question trial trial"),
]


def add_labels(folder, numbers):
    lines = [
        label_line(
            f"{kind} {number}",
            text=f"{text} {'heart court'[:number]}",
            tags={"kind": [kind], "field": field},
        )
        for number in numbers
        for kind, field, text in TOPICS
    ]
    with (folder / "seed.jsonl").open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
    return LabelStore(folder)


@pytest.fixture
def grown(label_folder, tmp_path):
    """A model, and a store that has grown since it was trained."""
    (label_folder / "seed.jsonl").unlink()
    store = add_labels(label_folder, range(6))
    settings = TrainingSettings(
        encoder=str(save_tiny_encoder(tmp_path / "encoder")), epochs=0, folds=2, max_tokens=32
    )
    before = train(store.labels(), store.taxonomy, settings, tmp_path / "before")
    return before, add_labels(label_folder, range(6, 10)), settings


def refit(grown, folder, labels=None, taxonomy=None, seen=()):
    before, store, settings = grown
    model = load_model(before.folder, "tagger/1")
    labels = store.labels() if labels is None else labels
    taxonomy = taxonomy or store.taxonomy
    return refit_heads(labels, taxonomy, settings, model, before.folder, seen, folder)


def test_new_papers_are_held_out_and_old_ones_keep_what_was_said(grown, tmp_path):
    before, store, _ = grown
    after = refit(grown, tmp_path / "after")
    for old, new in zip(before.out_of_fold, after.out_of_fold, strict=True):
        assert len(old.ids) == 18
        assert set(new.ids) == {label.id for label in store.labels()}
        rows = [new.ids.index(name) for name in old.ids]
        assert np.allclose(new.probabilities[rows], old.probabilities)
        fresh = np.setdiff1d(np.arange(len(new.ids)), rows)
        # Heads that know the topics tell those of papers that they have not seen.
        assert new.right[fresh].mean() > 0.8
    assert after.metrics["kind/accuracy"] == pytest.approx(after.out_of_fold[0].right.mean())
    assert after.left is None


def test_the_encoder_stays_and_the_heads_learn(grown, tmp_path):
    before, _, _ = grown
    after = refit(grown, tmp_path / "after")
    for file in ("encoder.onnx", "tokenizer.json"):
        assert (after.folder / file).read_bytes() == (before.folder / file).read_bytes()
    paper = [Paper("Title", "survey heart drug")]
    assert not np.allclose(
        before.model.predict_proba(paper)["kind"], after.model.predict_proba(paper)["kind"]
    )
    assert len(after.model.reference.ids) == 30
    for effort in ("low", "balanced"):
        remembered = after.model.at_effort(effort).reference
        assert np.allclose(
            remembered.probabilities["kind"][:18],
            before.model.at_effort(effort).reference.probabilities["kind"],
        )
        assert remembered.familiarity[18:].min() > 0


def test_a_paper_that_the_encoder_saw_and_nobody_remembers_measures_nothing(grown, tmp_path):
    _, store, _ = grown
    forgotten = store.labels()[-1].id
    after = refit(grown, tmp_path / "after", seen={forgotten})
    assert forgotten not in after.out_of_fold[0].ids
    assert forgotten not in after.model.reference.ids


def test_with_nothing_new_nothing_is_measured_anew(grown, tmp_path):
    before, store, _ = grown
    after = refit(grown, tmp_path / "after", labels=store.labels()[:18])
    assert after.metrics == pytest.approx(before.metrics)


def test_another_taxonomy_is_refused(grown, tmp_path):
    _, store, _ = grown
    other = Taxonomy.model_validate({**store.taxonomy.model_dump(), "name": "other"})
    with pytest.raises(TaggerError, match="the taxonomy has changed since tagger/1 was trained"):
        refit(grown, tmp_path / "after", taxonomy=other)


@pytest.mark.training
def test_the_command_makes_a_version_on_the_champions_encoder(label_folder, tmp_path, monkeypatch):
    root = label_folder.parent
    encoder = save_tiny_encoder(tmp_path / "encoder")
    first = run("train", *QUICK[2:], "--encoder", encoder, cwd=root)
    assert first.returncode == 0, first.stderr
    add_labels(label_folder, range(3))
    again = run("train", "--heads-only", "--folds", 2, cwd=root)
    assert again.returncode == 0, again.stderr
    assert "tagger/2 is now challenger" in again.stdout
    same = run("train", "--heads-only", "--folds", 2, "--if-changed", cwd=root)
    assert "Nothing new: tagger/2 was trained on just these inputs" in same.stdout
    compared = run("compare", "1", "2", cwd=root)
    assert compared.returncode == 0, compared.stderr
    monkeypatch.chdir(root)
    registry = Registry()
    settings = settings_of(registry, registry.find("1"))
    assert (settings.encoder, settings.epochs, settings.folds) == (str(encoder), 6, 2)
    assert settings_of(registry, registry.find("2")) == settings
    both = run("train", "--heads-only", "--compatible-with", "champion", cwd=root)
    assert both.returncode == 2
    assert "exclude each other" in both.stderr
