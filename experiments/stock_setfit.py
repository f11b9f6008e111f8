"""Train SetFit with its own trainer, pairs and classifiers."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from gold import encoder_folder

from tagger.model import DEFAULT_MAX_TOKENS
from tagger.training import TrainingSettings

if TYPE_CHECKING:
    from setfit import SetFitModel

PAIRS = 5
"""Pairs of each kind for each text. SetFit's paper has 20, its defaults far more: hours here."""


def train_setfit(
    texts: list[str],
    y_true: npt.NDArray[np.bool_],
    *,
    exclusive: bool,
    quick: bool,
    seed: int = 0,
    tokens: int = DEFAULT_MAX_TOKENS,
) -> SetFitModel:
    """Train SetFit on one facet, with class weights; fine-tune it on texts as short as tagger does.

    Parameters
    ----------
    y_true:
        Shape (texts, tags).
    exclusive:
        Whether each text has one tag. The model then answers with its place.
    tokens:
        Where texts are cut afterwards.
    """
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    model = SetFitModel.from_pretrained(
        str(encoder_folder(quick)),
        multi_target_strategy=None if exclusive else "one-vs-rest",
        head_params={"class_weight": "balanced"},
    )
    answers = (y_true.argmax(axis=1) if exclusive else y_true.astype(int)).tolist()
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            scratch,
            num_iterations=1 if quick else PAIRS,
            seed=seed,
            report_to="none",
            save_strategy="no",
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"text": texts, "label": answers}),
        )
        body = model.model_body
        tokens = min(tokens, body.max_seq_length)
        # What Trainer.train does, in its two parts.
        body.max_seq_length = min(tokens, TrainingSettings().tuning_tokens)
        trainer.train_embeddings(texts, answers, args=trainer.args)
        body.max_seq_length = tokens
        trainer.train_classifier(texts, answers, args=trainer.args)
    return model
