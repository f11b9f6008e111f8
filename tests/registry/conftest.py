"""A separate store for each test, and training results without a training."""

import shutil
from functools import partial

import pytest
from helpers import tiny_training

from tagger.registry import Registry
from tagger.registry.store import Store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An MLflow database without runs, shared because creating one takes seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with Store(f"sqlite:///{path}").reading() as client:
        client.search_experiments(max_results=1)
    return path


@pytest.fixture
def registry(tmp_path, monkeypatch, empty_database):
    """A registry without versions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns")
    return Registry()


@pytest.fixture
def make_result(saved_model, label_folder):
    """Make the result of a training with a given accuracy."""
    return partial(tiny_training.make_result, label_folder, saved_model)


@pytest.fixture
def log(registry, label_folder, saved_model):
    """Log a training whose cross-validation got a share of the labels right."""

    def log(**options):
        own = options.pop("registry", registry)
        return tiny_training.log_tiny(own, label_folder, saved_model, **options)

    return log
