from pathlib import Path

import numpy as np

from tagger.decision import ReviewRule
from tagger.drift import measure_drift
from tagger.model import load_model
from tagger.registry.tag_run import DIGEST_EXPERIMENT, log_tag_run


def test_a_tagged_digest_is_a_run_without_any_text(registry, saved_model):
    model = load_model(saved_model)
    chances = {f.name: np.full((6, len(f.tags)), 1 / 3) for f in model.taxonomy.facets}
    strange = np.full(6, 0.1)
    drift = measure_drift(strange, chances, model.reference, model.taxonomy, ReviewRule())
    log_tag_run(registry, drift, "tagger/1", [Path("a/monday.txt"), Path("tuesday.txt")])
    with registry.store.reading() as client:
        experiment = client.get_experiment_by_name(DIGEST_EXPERIMENT)
        (run,) = client.search_runs([experiment.experiment_id])
        assert client.list_artifacts(run.info.run_id) == []
    assert run.data.params == {"model": "tagger/1", "pages": "monday.txt, tuesday.txt"}
    assert run.data.metrics["unfamiliar_share"] == 1
    assert run.data.metrics["kind/share/survey"] == 1
    assert run.data.tags["warnings"].startswith("100% of the papers are unlike")
    assert run.info.run_name == "monday.txt and 1 more"
