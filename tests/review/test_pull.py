"""Pulling annotations from a stand-in server; the acceptance tests use a real one."""

from datetime import UTC, datetime, timedelta

import pytest
from helpers.stand_in_project import stand_in_project

from tagger.labels import LabelStore
from tagger.papers import Paper
from tagger.review import pull_labels
from tagger.review.interface import FINAL

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def answer(project, name, hour, kind, title="A Title"):
    """Annotate a separate task, found by its name."""
    paper = Paper(title, "On something.")
    data = {"paper": paper.id, "title": title, "abstract": paper.abstract, "queue": name}
    if not any(task["data"] == data for task in project.kept.values()):
        project.import_tasks([{"data": data, "meta": None}])
    project.annotate(paper, NOON + timedelta(hours=hour), name, kind=[kind])


@pytest.fixture
def store(label_folder):
    return LabelStore(label_folder)


@pytest.fixture
def project(taxonomy):
    with stand_in_project(taxonomy) as project:
        yield project


def kinds(store):
    return {label.title: label.tags["kind"] for label in store.labels() if label.source == "review"}


def test_a_changed_answer_with_an_earlier_time_is_pulled(project, store):
    answer(project, "one", 0, "survey")
    pull_labels(project, store)
    answer(project, "one", -1, "method")
    report = pull_labels(project, store)
    assert (report.new, report.changed) == (0, 1)
    assert kinds(store) == {"A Title": ("method",)}
    assert pull_labels(project, store).changed == 0


def test_the_answer_pulled_last_counts_even_with_an_earlier_time(project, store):
    answer(project, "one", 2, "survey")
    answer(project, "two", 3, "survey", title="Another")
    pull_labels(project, store)
    # The same person looks at the paper again, twice, on a day that the clock says is past.
    answer(project, "three", -20, "study")
    answer(project, "four", -24, "method")
    assert pull_labels(project, store).new == 2
    assert kinds(store) == {"A Title": ("study",), "Another": ("survey",)}
    answers = {label.origin.task: label for label in store.all_labels() if label.origin}
    one, two, three, four = (answers[number] for number in sorted(answers))
    # Answers of the first pull keep their times.
    assert one.time == NOON + timedelta(hours=2)
    assert two.time == NOON + timedelta(hours=3) < four.time < three.time
    assert four.origin.updated == NOON - timedelta(hours=24)


def test_what_reviewers_disagree_on_is_listed_in_a_tab_until_it_is_settled(project, store):
    def tabs():
        views = project.connection.client.views.list(project=project.id)
        return {view.data["title"]: view.data for view in views}

    def numbers():
        return [view.id for view in project.connection.client.views.list(project=project.id)]

    def second(kind, *verdict):
        [first] = task["annotations"][:1]
        result = [{"from_name": "kind", "value": {"choices": [kind]}}]
        result += [{"from_name": "Verdict", "value": {"choices": [*verdict]}}]
        other = {**first, "unique_id": "second", "completed_by": 2, "result": result}
        other["updated_at"] = (NOON + timedelta(hours=1 + len(verdict))).isoformat()
        task["annotations"] = [first, other]

    answer(project, "one", 0, "survey")
    answer(project, "two", 0, "survey", title="Another")
    task = next(iter(project.kept.values()))
    pull_labels(project, store)
    assert "conflicts" not in tabs()
    assert task["data"].get("verdicts", []) == []
    second("method")
    # That an answer came last settles nothing.
    [conflict] = pull_labels(project, store).conflicts
    assert (conflict.counts, conflict.settled) == (("method",), False)
    for _ in range(2):
        shown = tabs()["conflicts"]["filters"]["items"]
        assert [item["value"] for item in shown] == [task["id"]]
        # Only the disputed task offers to settle.
        offers = [one["data"].get("verdicts", []) for one in project.kept.values()]
        assert [[choice["value"] for choice in one] for one in offers] == [[FINAL], []]
        number = numbers()
        pull_labels(project, store)
        # A tab that lists the same tasks stays open.
        assert numbers() == number
    second("study", FINAL)
    [conflict] = pull_labels(project, store).conflicts
    assert conflict.settled
    assert "conflicts" not in tabs()
    assert task["data"].get("verdicts", []) == []
