"""A store of its own for each test, and training results that cost nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import tiny_training

from tagger.registry import Registry, Version
from tagger.training import TrainingResult


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Registry()


@pytest.fixture
def make_result(saved_model: Path, label_folder: Path) -> Callable[..., TrainingResult]:
    """Make the result of a training that got a share of the labels right."""
    return partial(tiny_training.make_result, label_folder, saved_model)


@pytest.fixture
def log(registry: Registry, label_folder: Path, saved_model: Path) -> Callable[..., Version]:
    """Log a training whose cross-validation got a share of the labels right."""
    return partial(tiny_training.log_tiny, registry, label_folder, saved_model)
