"""What a pull makes of annotations, without a server; the rest is tested against a real one."""

from datetime import UTC, datetime, timedelta

from tagger.labels import LabelStore
from tagger.review.pull import pull

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Desk:
    """Keeps annotations as a project does."""

    key = "1/made"

    def __init__(self):
        self.kept = {}

    def annotate(self, name, hour, kind, title="A Title"):
        updated = (NOON + timedelta(hours=hour)).isoformat()
        choice = {"from_name": "kind", "value": {"choices": [kind]}}
        self.kept[name] = {
            "id": len(self.kept),
            "data": {"title": title, "abstract": "On something."},
            "annotations": [
                {
                    "unique_id": name,
                    "was_cancelled": False,
                    "completed_by": 1,
                    "updated_at": updated,
                    "result": [choice],
                }
            ],
        }

    def annotators(self):
        return {1: "ann@example.org"}

    def annotated_tasks(self):
        return [*self.kept.values()]

    def task_ids(self):
        return {task["id"] for task in self.kept.values()}


def kinds(store):
    return {label.title: label.tags["kind"] for label in store.labels() if label.source == "review"}


def test_an_answer_changed_by_a_clock_that_went_back_comes_home(label_folder):
    desk, store = Desk(), LabelStore(label_folder)
    desk.annotate("one", 0, "survey")
    pull(desk, store)
    desk.annotate("one", -1, "method")
    report = pull(desk, store)
    assert (report.new, report.changed) == (0, 1)
    assert kinds(store) == {"A Title": ("method",)}
    assert pull(desk, store).changed == 0


def test_what_came_later_counts_whatever_the_clock_said(label_folder):
    desk, store = Desk(), LabelStore(label_folder)
    desk.annotate("one", 0, "survey")
    desk.annotate("two", 3, "survey", title="Another")
    pull(desk, store)
    # The same person looks at the paper again, twice, on a day that the clock says is past.
    desk.annotate("four", -20, "study")
    desk.annotate("three", -24, "method")
    assert pull(desk, store).new == 2
    assert kinds(store) == {"A Title": ("study",), "Another": ("survey",)}
    times = {label.origin.annotation: label.time for label in store.all_labels() if label.origin}
    assert times["two"] < times["three"] < times["four"]
    updated = {label.origin.annotation: label.origin.updated for label in store.all_labels()[-2:]}
    assert updated["three"] == NOON - timedelta(hours=24)


def test_answers_of_one_pull_keep_their_times(label_folder):
    desk, store = Desk(), LabelStore(label_folder)
    desk.annotate("one", 2, "survey")
    desk.annotate("two", 1, "method")
    pull(desk, store)
    assert kinds(store) == {"A Title": ("survey",)}
    assert {label.time for label in store.all_labels() if label.origin} == {
        NOON + timedelta(hours=1),
        NOON + timedelta(hours=2),
    }
