"""Record the drift figures of tagged digests, so that drift can be followed in MLflow.

To load MLflow takes longer than to tag a page. A run is therefore appended to a file of the store,
and logged by the next command that loads MLflow.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
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
    record = {
        "id": uuid4().hex,
        "time": time.time_ns() // 10**6,
        "name": names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else ""),
        "params": {"model": model, "pages": ", ".join(names)[:6000]},
        "metrics": drift.figures(),
        "tags": {"warnings": "; ".join(drift.warnings) or "none"},
    }
    if not store.embedded:
        with store.writing() as client:
            _log(client, store.experiment_id(client, DIGEST_EXPERIMENT), record)
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
                    _log(client, experiment, record)
            path.unlink()
    except (TaggerError, OSError) as error:
        _LOG.warning("MLflow did not record the last runs of 'tagger tag': %s", error)


def _log(client: MlflowClient, experiment: str, record: dict[str, Any]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = record["time"]
    run = client.create_run(experiment, now, run_name=record["name"]).info.run_id
    # The id comes last: a run that was not logged to its end is not taken for this record.
    tags = record["tags"] | {_RECORD_TAG: record["id"]}
    client.log_batch(
        run,
        [Metric(name, value, now, 0) for name, value in record["metrics"].items()],
        [Param(name, value) for name, value in record["params"].items()],
    )
    client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])
    client.set_terminated(run, end_time=now)
