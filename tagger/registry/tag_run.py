"""Log the drift figures of tagged digests, so that drift can be followed in MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tagger.errors import shown
from tagger.model import Drift
from tagger.registry.versions import Registry

DIGEST_EXPERIMENT = "tagger-digests"


def log_tag_run(registry: Registry, drift: Drift, model: str, files: Sequence[Path]) -> None:
    """Log the drift figures of the digest ``files`` that ``model`` tagged, without any text."""
    import mlflow

    names = [shown(path.name) for path in files]
    with registry.store.writing() as client:
        experiment = registry.store.experiment_id(client, DIGEST_EXPERIMENT)
        title = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        with registry.store.run(client, experiment, title):
            mlflow.log_params({"model": model, "pages": ", ".join(names)[:6000]})
            mlflow.log_metrics(drift.figures())
            mlflow.set_tag("warnings", "; ".join(drift.warnings) or "none")
