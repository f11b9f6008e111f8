"""Record the drift figures of tagged digests, so that drift can be followed in MLflow.

Loading MLflow takes longer than tagging a page. A run is therefore appended to a file next to the
database, and logged by the next command that loads MLflow.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tagger._util.atomic import cannot_write, exclusively
from tagger.errors import TaggerError, shown
from tagger.model import Drift
from tagger.registry.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGEST_EXPERIMENT = "tagger-digests"
_RECORDS_FILE = "tag_runs.jsonl"
_RECORD_TAG = "tagger.record"
_LOG = logging.getLogger(__name__)


def record_tag_run(store: Store, drift: Drift, model: str, files: Sequence[str]) -> None:
    """Record the drift figures of the digest ``files`` that ``model`` tagged, without any text.

    Raises a TaggerError if the file cannot be written, or the store on a server does not answer.
    """
    names = [shown(Path(file).name) for file in files]
    now = datetime.now(UTC)
    record = {
        "id": uuid4().hex,
        "time": int(now.timestamp() * 1000),
        "name": names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else ""),
        "params": {"model": model, "pages": ", ".join(names)[:6000]},
        "metrics": drift.figures(),
        "tags": {"warnings": "; ".join(drift.warnings) or "none", "tagged": now.isoformat()},
    }
    if not store.embedded:
        with store.writing() as client:
            _log(store, client, store.experiment_id(client, DIGEST_EXPERIMENT), record)
        return
    path = store.folder / _RECORDS_FILE
    try:
        with exclusively(path), path.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(record)}\n")  # the last line may be half a line
    except OSError as error:
        raise cannot_write(path, error) from error


def log_recorded_runs(store: Store) -> None:
    """Bring the recorded runs into the MLflow store of the workspace; a failure is only logged.

    A record stays in the file until it is in MLflow, and is logged there once.
    """
    path = store.folder / _RECORDS_FILE
    if not (store.embedded and store.exists and path.exists()):
        return
    try:
        with exclusively(path), store.writing() as client:
            experiment = store.experiment_id(client, DIGEST_EXPERIMENT)
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except ValueError:  # half a line of a command that was killed
                    continue
                known = f"tags.`{_RECORD_TAG}` = '{record['id']}'"
                if not client.search_runs([experiment], known):
                    _log(store, client, experiment, record)
            path.unlink()
    except (TaggerError, OSError) as error:
        _LOG.warning("MLflow did not record the last runs of 'tagger tag': %s", error)


def _log(store: Store, client: MlflowClient, experiment: str, record: dict[str, Any]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(name, value, record["time"], 0) for name, value in record["metrics"].items()]
    params = [Param(name, value) for name, value in record["params"].items()]
    # The id comes last: a run that was not logged to its end is not taken for this record.
    tags = record["tags"] | {_RECORD_TAG: record["id"]}
    with store.run(client, experiment, record["name"]) as run:
        client.log_batch(run.info.run_id, metrics, params)
        client.log_batch(run.info.run_id, tags=[RunTag(*tag) for tag in tags.items()])
