"""Results of trainings that took no time, and their way into MLflow."""

from unittest.mock import patch

import numpy as np

from tagger.labels import LabelStore
from tagger.model import load_model
from tagger.registry import log_training
from tagger.training import TrainingData, TrainingResult, TrainingSettings


def log_tiny(registry, labels, saved_model, right=1.0, seed=0):
    """Log a training whose cross-validation got a share of the labels right.

    Its figures are there and are not drawn, which takes half of the time.
    """
    import mlflow

    store = LabelStore(labels)
    settings = TrainingSettings(folds=2, seed=seed)
    result = make_result(labels, saved_model, right, seed)
    with patch("mlflow.log_figure", lambda _figure, path: mlflow.log_text("", path)):
        return log_training(registry, result, settings, store.snapshot())


def make_result(label_folder, saved_model, right=1.0, seed=0):
    """Make the result of a training that got a share of the labels right."""
    store = LabelStore(label_folder)
    data = TrainingData.of(store.labels(), store.taxonomy)
    rows = np.arange(len(data.labels))
    rng = np.random.default_rng(seed)
    out_of_fold = []
    for facet in store.taxonomy.facets:
        y_true = data.y_true[facet.name]
        wrong = rng.permutation(len(rows)) >= right * len(rows)
        given = np.where(wrong[:, None], np.roll(y_true, 1, axis=1), y_true)
        probabilities = given * 0.7 + 0.1
        if not facet.exclusive:
            probabilities[wrong] = 1 - probabilities[wrong] * y_true[wrong] - 0.2
        out_of_fold.append(data.held_out(facet, rows, rows % 2, probabilities, 0.5))
    model = load_model(saved_model)
    return TrainingResult(model, saved_model, tuple(out_of_fold), 1.5)
