"""Training without fine-tuning, with an encoder of a few words."""

from unittest.mock import MagicMock

import numpy as np
import pytest
from helpers.tiny_model import save_word_encoder

from tagger import Paper
from tagger.training.encoders import _pretrained


@pytest.fixture
def quick(monkeypatch):
    """Replace the fine-tuned encoder by one of a few words."""

    def export(_model, folder, *_texts, **_options):
        folder.mkdir(parents=True, exist_ok=True)
        save_word_encoder(folder, np.random.default_rng(0))

    monkeypatch.setattr("tagger.training.fine_tuning.fine_tune", MagicMock())
    monkeypatch.setattr("tagger.training.pretrained.load_trainable", MagicMock())
    monkeypatch.setattr("tagger.training.onnx_export.export_onnx", export)
    _pretrained.cache_clear()
    yield
    _pretrained.cache_clear()


@pytest.fixture
def labelled():
    """Papers of three kinds, each with a characteristic word."""
    kinds = {"survey": "survey", "method": "network", "study": "question"}
    papers = [
        Paper(f"Paper {n} on a {word}", f"We look at the {word} in case {n}.")
        for n in range(8)
        for word in kinds.values()
    ]
    return papers, [*kinds] * 8
