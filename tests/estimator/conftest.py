"""Training without fine-tuning, with an encoder of a few words."""

from contextlib import contextmanager
from unittest.mock import MagicMock

import numpy as np
import pytest
from helpers.tiny_model import save_word_encoder

from tagger import Paper, Tagger
from tagger.training.encoders import _pretrained


@contextmanager
def word_encoder():
    """Replace the fine-tuned encoder by one of a few words."""

    def export(_model, folder, *_texts, **_options):
        folder.mkdir(parents=True, exist_ok=True)
        save_word_encoder(folder, np.random.default_rng(0))

    _pretrained.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tagger.training.fine_tuning.fine_tune", MagicMock())
        patch.setattr("tagger.training.pretrained.load_trainable", MagicMock())
        patch.setattr("tagger.training.onnx_export.export_onnx", export)
        yield
    _pretrained.cache_clear()


@pytest.fixture
def quick():
    with word_encoder():
        yield


@pytest.fixture(scope="session")
def fitted(labelled):
    """A Tagger of one facet, not to be fitted again."""
    with word_encoder():
        return Tagger(epochs=0, folds=2, max_tokens=16).fit(*labelled)


@pytest.fixture(scope="session")
def labelled():
    """Papers of three kinds, each with a characteristic word."""
    kinds = {"survey": "survey", "method": "network", "study": "question"}
    papers = [
        Paper(f"Paper {n} on a {word}", f"We look at the {word} in case {n}.")
        for n in range(8)
        for word in kinds.values()
    ]
    return papers, [*kinds] * 8
