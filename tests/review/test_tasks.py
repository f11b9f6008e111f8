import pytest
from helpers.samples import small_taxonomy

from tagger.model import ReviewRule, decide
from tagger.papers import Paper
from tagger.review.tasks import (
    TaskError,
    make_result,
    make_task,
    read_label,
    read_paper,
    tags_in_use,
)

TAXONOMY = small_taxonomy()
PAPER = Paper("On hearts", "We look at hearts.", ("monday.txt",))


def task_of(model, paper=PAPER, queue="confused", shown=True):
    probabilities = model.predict_proba([paper])
    [decision] = decide([paper], probabilities, model.taxonomy, model.name, ReviewRule())
    return make_task(paper, decision, model.taxonomy, queue, "Why it is here.", shown=shown)


def annotation_of(result, **changes):
    made = {"unique_id": "u-1", "updated_at": "2026-03-01T10:00:00.5Z", "lead_time": 4.5}
    return {**made, "result": result, **changes}


def choice(control, *values):
    return {"from_name": control, "to_name": "Paper", "value": {"choices": list(values)}}


def read(result, meta=None, **changes):
    task = {"id": 3, "data": {"title": PAPER.title, "abstract": PAPER.abstract}, "meta": meta}
    return read_label(task, annotation_of(result, **changes), "ann", TAXONOMY, "1/now")


@pytest.mark.parametrize("field", [(), ("health",), ("health", "heart"), ("health", "law")])
def test_tags_survive_the_round_trip(field):
    tags = {"kind": ("survey",), "field": field}
    assert read(make_result(tags, TAXONOMY)).tags == tags


def test_a_task_carries_the_prediction_and_a_blind_one_hides_it(model):
    task = task_of(model)
    [prediction] = task["predictions"]
    assert prediction["model_version"] == "tagger/1"
    assert 0 <= prediction["score"] <= 1
    assert task["data"]["queue"] == "confused"
    blind = task_of(model, shown=False)
    assert blind["predictions"] == []
    assert blind["meta"]["tags"] == task["meta"]["tags"]
    assert "Why it is here." not in str(blind)
    assert "confused" not in str(blind["data"])


def test_a_label_holds_its_origin(model):
    task = {"id": 3, **task_of(model, shown=False)}
    note = {"from_name": "Note", "value": {"text": ["Not sure."]}}
    result = [choice("kind", "method"), note, choice("Verdict", "settles a disagreement")]
    label = read_label(task, annotation_of(result), "ann", model.taxonomy, "1/now")
    assert (label.id, label.title, label.text) == (PAPER.id, PAPER.title, PAPER.abstract)
    assert label.tags == {"kind": ("method",), "field": ()}
    assert label.final
    assert label.note == "Not sure."
    assert label.prediction.model == "tagger/1"
    assert not label.prediction.shown
    origin = label.origin
    assert (origin.annotation, origin.project, origin.task) == ("u-1", "1/now", 3)
    assert (label.queue, origin.lead_time) == ("confused", 4.5)
    assert label.time.isoformat() == "2026-03-01T10:00:00.500000+00:00"


@pytest.mark.parametrize(
    ("result", "outcome", "tags"),
    [
        ([choice("Verdict", "not a paper"), choice("kind", "method")], "not-a-paper", {}),
        ([choice("Verdict", "cannot tell"), choice("kind", "method")], "cannot-tell", {}),
        ([], "tagged", {"field": ()}),
        ([choice("kind", "survey", "method")], "tagged", {"field": ()}),
    ],
)
def test_verdicts_and_empty_answers(result, outcome, tags):
    label = read(result)
    assert (label.outcome, label.tags) == (outcome, tags)


def test_an_answer_with_an_unknown_tag_is_refused():
    with pytest.raises(TaskError, match="unknown tag 'poem'"):
        read([choice("kind", "poem"), choice("field", "law")])
    assert read([choice("kind", "poem"), choice("Verdict", "not a paper")]).tags == {}


KEPT = {"model_version": "tagger/3", "result": [choice("kind", "method")]}
META = {"model": "m", "tags": {"kind": ["survey"]}, "shown": True, "queue": "random", "facets": []}


@pytest.mark.parametrize(
    ("meta", "kept", "model", "tags", "shown"),
    [
        (None, KEPT, "tagger/3", {"kind": ("method",), "field": ()}, True),
        # The task was refreshed after the answer.
        (META, KEPT, "tagger/3", {"kind": ("method",)}, True),
        (META, {}, "m", {"kind": ("survey",)}, True),
        ({**META, "shown": False}, KEPT, "m", {"kind": ("survey",)}, False),
    ],
)
def test_the_shown_prediction_is_recorded(meta, kept, model, tags, shown):
    label = read([choice("kind", "survey")], meta, prediction=kept)
    assert label.prediction.model_dump() == {"model": model, "tags": tags, "shown": shown}


@pytest.mark.parametrize(
    "kept", [{}, None, 3, {"result": [choice("kind", "poem")], "model_version": "x"}]
)
def test_an_unreadable_prediction_is_none(kept):
    assert read([choice("kind", "survey")], prediction=kept).prediction is None


def test_a_facet_that_was_not_offered_is_not_annotated():
    label = read([choice("kind", "method")], {**META, "tags": {}, "facets": ["kind"]})
    assert label.tags == {"kind": ("method",)}


@pytest.mark.parametrize(
    "data", [{}, {"title": "", "abstract": "x"}, {"title": 3, "abstract": "x"}]
)
def test_tasks_of_others_are_refused(data):
    with pytest.raises(TaskError, match="no title"):
        read_paper(data)


def test_a_paper_without_abstract_comes_back_without_one(model):
    task = task_of(model, Paper("Alone", ""))
    assert task["data"]["abstract"]
    assert read_paper(task["data"]).abstract == ""


def test_tags_in_use_are_those_of_annotations():
    tasks = [{"annotations": [annotation_of([choice("kind", "poem")])]}, {}]
    assert tags_in_use(tasks) == {("kind", "poem")}
