"""SetFit as its users train it: its own trainer, pairs and classifiers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from gold import encoder_folder

if TYPE_CHECKING:
    from setfit import SetFitModel

PAIRS = 10
"""Pairs of each kind for each text. SetFit's paper has 20, its defaults far more: hours here."""


def train_setfit(
    texts: Sequence[str],
    y_true: npt.NDArray[np.bool_],
    *,
    exclusive: bool,
    quick: bool,
    seed: int = 0,
    tokens: int | None = None,
) -> SetFitModel:
    """Train SetFit on one facet, with class weights.

    Parameters
    ----------
    y_true:
        Shape (texts, tags).
    exclusive:
        Whether each text has one tag. The model then answers with its place.
    tokens:
        Where texts are cut, if not where the encoder does.
    """
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    model = SetFitModel.from_pretrained(
        str(encoder_folder(quick)),
        multi_target_strategy=None if exclusive else "one-vs-rest",
        head_params={"class_weight": "balanced"},
    )
    if tokens:
        model.model_body.max_seq_length = tokens
    answers = y_true.argmax(axis=1) if exclusive else y_true.astype(int)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            scratch,
            num_iterations=1 if quick else PAIRS,
            seed=seed,
            report_to="none",
            save_strategy="no",
        )
        examples = Dataset.from_dict({"text": list(texts), "label": answers.tolist()})
        Trainer(model=model, args=arguments, train_dataset=examples).train()
    return model
