"""What a pull makes of annotations, without a server; the rest is tested against a real one."""

from datetime import UTC, datetime, timedelta

import pytest
from helpers.project_in_memory import ProjectInMemory

from tagger.labels import LabelStore
from tagger.paper import Paper
from tagger.review.pull import pull

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Desk(ProjectInMemory):
    """Takes answers, each in a task of its own that has a name."""

    def answer(self, name, hour, kind, title="A Title"):
        paper = Paper(title, "On something.")
        data = {"paper": paper.id, "title": title, "abstract": paper.abstract, "queue": name}
        if not any(task["data"] == data for task in self.content.values()):
            self.import_tasks([{"data": data, "meta": None}])
        self.annotate(paper, NOON + timedelta(hours=hour), name, kind=[kind])


@pytest.fixture
def store(label_folder):
    return LabelStore(label_folder)


@pytest.fixture
def desk(taxonomy):
    return Desk(taxonomy)


def kinds(store):
    return {label.title: label.tags["kind"] for label in store.labels() if label.source == "review"}


def test_an_answer_changed_by_a_clock_that_went_back_comes_home(desk, store):
    desk.answer("one", 0, "survey")
    pull(desk, store)
    desk.answer("one", -1, "method")
    report = pull(desk, store)
    assert (report.new, report.changed) == (0, 1)
    assert kinds(store) == {"A Title": ("method",)}
    assert pull(desk, store).changed == 0


def test_what_came_later_counts_whatever_the_clock_said(desk, store):
    desk.answer("one", 2, "survey")
    desk.answer("two", 3, "survey", title="Another")
    pull(desk, store)
    # The same person looks at the paper again, twice, on a day that the clock says is past.
    desk.answer("three", -20, "study")
    desk.answer("four", -24, "method")
    assert pull(desk, store).new == 2
    assert kinds(store) == {"A Title": ("study",), "Another": ("survey",)}
    times = {label.origin.task: label.time for label in store.all_labels() if label.origin}
    # Answers of the first pull keep their times.
    assert times[1] == NOON + timedelta(hours=2)
    assert times[2] == NOON + timedelta(hours=3) < times[4] < times[3]
    updated = {label.origin.task: label.origin.updated for label in store.all_labels()[-2:]}
    assert updated[4] == NOON - timedelta(hours=24)
