import json
import sys
from datetime import UTC, datetime

import pytest
from helpers.samples import label_of, run

from tagger.labels import Label, LabelStore, Origin, Prediction
from tagger.papers import Paper
from tagger.review import review_status
from tagger.review.project import ReviewTask
from tagger.review.status import TagVerdicts
from tagger.review.tasks import TaskMeta

TIME = datetime(2026, 1, 1, tzinfo=UTC)


def reviewed(number, tag, predicted, *, shown=True, queue="confused"):
    origin = {"annotation": f"u-{number}", "updated": TIME, "project": "1", "task": number}
    origin |= {"lead_time": float(number + 1)}
    label = {"id": str(number), "title": f"Paper {number}", "text": "", "tags": {"kind": (tag,)}}
    label |= {"annotator": "ann", "time": TIME, "source": "review"}
    predicted = Prediction(model="tagger/1", tags={"kind": (predicted,)}, shown=shown)
    return Label(**label, queue=queue, prediction=predicted, origin=Origin(**origin))


def task(number, *, done=False, skipped=False, begun=False, queue="confused"):
    meta = TaskMeta(model="tagger/1", tags={}, shown=True, queue=queue, facets=())
    return ReviewTask(number, Paper(f"Paper {number}", ""), {}, meta, done, skipped, begun)


def test_verdicts_count_what_was_taken_away_and_added(taxonomy):
    labels = [
        reviewed(1, "survey", "survey"),
        reviewed(2, "method", "survey"),
        reviewed(3, "study", "survey"),
        reviewed(4, "study", "study"),
    ]
    found = review_status([], labels, taxonomy).verdicts
    assert found["kind"] == {
        "survey": TagVerdicts(given=3, taken_away=2, added=0),
        "method": TagVerdicts(given=0, taken_away=0, added=1),
        "study": TagVerdicts(given=1, taken_away=0, added=1),
    }


def test_anchoring_compares_shown_and_blind_answers(taxonomy):
    shown = [reviewed(n, "survey", "survey") for n in range(8)]
    shown += [reviewed(n, "study", "survey") for n in range(8, 10)]
    blind = [reviewed(n, "survey", "survey", shown=False) for n in range(20, 24)]
    blind += [reviewed(n, "study", "survey", shown=False) for n in range(24, 30)]
    other = [reviewed(40, "study", "survey", shown=False, queue="recheck")]
    other += [reviewed(41, "survey", "survey", shown=False, queue="audit")]
    [anchoring] = review_status([], shown + blind + other, taxonomy).anchoring
    assert (anchoring.shown, anchoring.blind) == (10, 10)
    assert anchoring.difference == pytest.approx(0.8 - 0.4)
    # Fisher's exact test of (8, 2) against (4, 6), two-sided, by hand: 21140 / 125970.
    assert anchoring.p_value == pytest.approx(0.1698, abs=1e-3)
    assert review_status([], shown, taxonomy).anchoring == []


def test_only_papers_sampled_at_random_measure_accuracy(taxonomy):
    labels = [reviewed(n, "survey", "survey", queue="audit") for n in range(3)]
    labels += [reviewed(9, "study", "survey", queue="audit"), reviewed(5, "study", "survey")]
    # Sent again as an audit: what the model has learned from the first answer does not count.
    again = {"annotation": "u-again", "updated": TIME, "project": "1", "task": 99}
    sent = reviewed(9, "study", "study", queue="audit")
    labels.append(sent.model_copy(update={"origin": Origin(**again)}))
    found = review_status([], labels, taxonomy)
    assert found.audit == {"kind": (3, 4)}
    assert found.median_seconds == 3.0


def test_an_audited_paper_counts_also_if_a_seed_label_knows_it_by_its_title(taxonomy):
    seed = label_of("Paper 1", source="seed", time="2025-01-01T00:00:00Z")
    sent = reviewed(1, "survey", "survey", queue="audit")
    labels = [seed, sent.model_copy(update={"id": "doi:10.1/a"})]
    assert review_status([], labels, taxonomy).audit == {"kind": (1, 1)}


def test_audited_papers_that_share_a_doi_count_each_with_its_own_prediction(taxonomy):
    names = {"Deep sea fish of Peru": "survey", "A history of bread": "study"}
    labels = [
        reviewed(number, "survey", predicted, queue="audit").model_copy(
            update={"id": "doi:10.1/x", "title": title}
        )
        for number, (title, predicted) in enumerate(names.items())
    ]
    assert review_status([], labels, taxonomy).audit == {"kind": (1, 2)}


def test_what_files_say_is_known_without_label_studio(label_folder, monkeypatch):
    """Neither a server nor the package for it is needed."""
    LabelStore(label_folder).add_corrections(lambda _: [reviewed(1, "study", "survey")])
    command = ("review", "status", "--labels", label_folder)
    told = run(*command, cwd=label_folder)
    monkeypatch.setitem(sys.modules, "label_studio_sdk", None)
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a-key")
    without = run(*command, "--json", cwd=label_folder)
    assert (told.returncode, without.returncode) == (0, 0), without.stderr
    assert "Tasks in Label Studio are not counted: " in told.stderr
    assert "waiting" not in told.stdout
    found = json.loads(without.stdout)
    assert "label_studio_sdk" in found["left_out"]
    assert (found["waiting"], found["done"]) == (None, None)
    assert found["verdicts"]["kind"]["survey"] == {"given": 1, "taken_away": 1, "added": 0}
    assert run(*command, "--project", "7", cwd=label_folder).returncode == 2


def test_tasks_are_counted_by_what_was_done(taxonomy):
    tasks = [task(1), task(2, queue="audit"), task(3, done=True), task(4, skipped=True)]
    tasks += [task(5, done=True, skipped=True), task(6, begun=True), task(7, done=True, begun=True)]
    found = review_status(tasks, [], taxonomy)
    assert (found.waiting, found.done, found.skipped) == (3, 3, 1)
    assert found.queues == {"confused": 2, "audit": 1}
