"""Results of trainings that took no time, and their way into MLflow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tagger.compatibility import Answers, Compatibility
from tagger.evaluation import HeldOut, evaluate
from tagger.labels import LabelStore
from tagger.model import load_model
from tagger.registry import Registry, Version
from tagger.registry.training_run import log_training
from tagger.training import LearningPoint, TrainingResult, TrainingSettings
from tagger.weight_change import WeightChange


def log_tiny(
    registry: Registry, labels: Path, saved_model: Path, right: float = 1.0, seed: int = 0
) -> Version:
    """Log a training whose cross-validation got a share of the labels right."""
    store = LabelStore(labels)
    settings = TrainingSettings(folds=2, seed=seed)
    result = make_result(labels, saved_model, right, seed)
    return log_training(registry, result, settings, store.snapshot())


def make_result(
    label_folder: Path, saved_model: Path, right: float = 1.0, seed: int = 0
) -> TrainingResult:
    """Make the result of a training that got a share of the labels right."""
    store = LabelStore(label_folder)
    labels = store.labels()
    rng = np.random.default_rng(seed)
    out_of_fold = []
    for facet in store.taxonomy.facets:
        truth = np.array(
            [
                [tag in facet.with_ancestors(label.tags[facet.name]) for tag in facet.tag_names]
                for label in labels
            ]
        )
        wrong = rng.permutation(len(labels)) >= right * len(labels)
        given = np.where(wrong[:, None], np.roll(truth, 1, axis=1), truth)
        chances = given * 0.7 + 0.1
        if not facet.exclusive:
            chances[wrong] = 1 - chances[wrong] * truth[wrong] - 0.2
        out_of_fold.append(
            HeldOut(
                facet,
                tuple(label.id for label in labels),
                tuple(label.title for label in labels),
                np.arange(len(labels)) % 2 + 1,
                truth,
                chances,
            )
        )
    metrics = {
        f"{part.facet.name}/{key}": value
        for part in out_of_fold
        for key, value in evaluate(part.facet, part.truth, part.probabilities).items()
    }
    change = WeightChange.of("base", {"weight": rng.normal(size=(4, 4)).astype(np.float32)})
    scores = {part.facet.name: np.stack([part.probabilities] * 2) for part in out_of_fold}
    ids = out_of_fold[0].ids
    left = Compatibility(change, (Answers(ids, frozenset(ids), len(ids), scores, change),))
    held_out = {part.facet.name: part for part in out_of_fold}
    half = {name: replace(part, truth=part.truth[::-1]) for name, part in held_out.items()}
    curve = (LearningPoint(12, half), LearningPoint(24, held_out))
    model = load_model(saved_model)
    return TrainingResult(model, saved_model, tuple(out_of_fold), left, curve, metrics, 1.5)
