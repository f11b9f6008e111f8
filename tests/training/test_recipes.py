import json
import sys

import joblib
import numpy as np
import pytest
from helpers.samples import QUICK, run, small_taxonomy
from helpers.tiny_encoder import save_tiny_encoder
from sklearn.linear_model import LogisticRegression

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.model import calibrated_probabilities
from tagger.training import TrainingSettings, epochs_of, train
from tagger.training.heads import HeadInputs
from tagger.training.recipes import find_recipe, load_recipe

BUILT_IN = {"contrastive", "frozen", "setfit", "setfit-supcon", "tfidf", "zero-shot"}


def test_recipes_are_found_by_name():
    assert all(map(find_recipe, BUILT_IN))
    assert [epochs_of(name) for name in ("contrastive", "setfit", "frozen")] == [5, 1, 0]
    with pytest.raises(TaggerError, match=r"no recipe 'fast'.*contrastive"):
        find_recipe("fast")
    with pytest.raises(TaggerError, match=r"'tfidf' does not fine-tune"):
        load_recipe(TrainingSettings(recipe="tfidf", epochs=2), small_taxonomy())


@pytest.fixture
def sample():
    """Vectors, terms and tags of papers, and vectors of the definitions."""
    rng = np.random.default_rng(0)
    y_true = np.eye(3, dtype=bool)[rng.integers(0, 3, 60)]
    vectors = (y_true @ rng.normal(size=(3, 8)) + rng.normal(size=(60, 8))).astype(np.float32)
    return vectors, y_true * rng.random((60, 3)), y_true, rng.normal(size=(3, 8))


def test_frozen_is_logistic_regression_on_vectors_and_tfidf_on_terms(sample):
    facet, (vectors, terms, y_true, prototypes) = small_taxonomy().facets[0], sample
    classes = y_true.argmax(axis=1)
    weights = dict(enumerate(np.sqrt(len(classes) / 3 / np.bincount(classes))))
    for name, features, c in (("frozen", vectors, 0.7), ("tfidf", terms, 5.0)):
        head = find_recipe(name).fit_head(HeadInputs(facet, vectors, terms, y_true, prototypes))
        expected = LogisticRegression(C=c, class_weight=weights, max_iter=2000)
        expected = expected.fit(features, classes).predict(features)
        assert (head.scores(vectors, terms).sum(axis=0).argmax(axis=1) == expected).all()


def test_zero_shot_takes_nothing_from_labels(sample):
    facet, (vectors, terms, y_true, prototypes) = small_taxonomy().facets[0], sample
    recipe = find_recipe("zero-shot")
    heads = [
        recipe.fit_head(HeadInputs(facet, vectors, terms, y, prototypes))
        for y in (y_true, y_true[::-1])
    ]
    assert np.array_equal(heads[0].encoder.weights, heads[1].encoder.weights)
    nearest = (prototypes @ prototypes.T).argmax(axis=1)
    scores = heads[0].encoder.scores(prototypes)
    assert (scores.argmax(axis=1) == nearest).mean() > 0.5


def test_a_checkpoint_that_was_fitted_on_names_keeps_their_order(sample, tmp_path):
    """SetFit predicts the names that the head knows, whatever the order of its labels."""
    facet, (vectors, terms, y_true, prototypes) = small_taxonomy().facets[0], sample
    names = np.array(facet.tag_names)[y_true.argmax(axis=1)]
    head = LogisticRegression().fit(vectors, names)
    joblib.dump(head, tmp_path / "model_head.pkl")
    config = {"labels": [*facet.tag_names], "normalize_embeddings": True}
    (tmp_path / "config_setfit.json").write_text(json.dumps(config))
    (tmp_path / "modules.json").write_text("[]")
    settings = TrainingSettings(
        recipe="from-setfit", encoder=str(tmp_path), epochs=0, trust_pickle=True
    )
    recipe = load_recipe(settings, small_taxonomy())
    found = recipe.fit_head(HeadInputs(facet, vectors, terms, y_true, prototypes))
    best = found.scores(vectors, terms).sum(axis=0).argmax(axis=1)
    assert (np.array(facet.tag_names)[best] == head.predict(vectors)).all()


@pytest.mark.training
@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_recipe_trains_a_calibrated_model(tmp_path, label_folder, name):
    store = LabelStore(label_folder)
    encoder = str(save_tiny_encoder(tmp_path / "encoder"))
    epochs = min(epochs_of(name), 1)
    settings = TrainingSettings(
        recipe=name, encoder=encoder, epochs=epochs, folds=2, max_tokens=32, float32=True
    )
    labels = store.labels()
    result = train(labels, store.taxonomy, settings, tmp_path / "model")
    assert (tmp_path / "model" / "encoder.float32.onnx").exists()
    papers = [label.paper for label in labels]
    for facet in store.taxonomy.facets:
        probabilities = result.model.predict_proba(papers)[facet.name]
        assert np.isfinite(probabilities).all()
        assert not facet.exclusive or np.allclose(probabilities.sum(axis=1), 1)
        head = result.model.heads[facet.name]
        assert name != "tfidf" or not head.encoder.weights.any()
        assert head.lexical.weights.any() == (name in ("contrastive", "tfidf"))
        calibration = result.model.calibrations["whole"][facet.name]
        assert calibrated_probabilities(facet, np.zeros((2, 1, len(facet.tags))), calibration).any()
    assert result.metrics.keys() >= {"kind/macro_f1", "field/macro_f1"}


@pytest.mark.training
def test_without_setfit_nothing_is_trained(label_folder, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "tagger.training.fine_tuning", raising=False)
    monkeypatch.setitem(sys.modules, "setfit", None)
    encoder = save_tiny_encoder(tmp_path)
    done = run("train", *QUICK, "--encoder", encoder, cwd=label_folder.parent, code=2)
    assert "pip install 'tagger[train]'" in done.stderr
