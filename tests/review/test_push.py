"""Which papers a push sends, without a server; the rest is tested against a real one."""

from tagger.labels import Label
from tagger.paper import Paper
from tagger.review.project import ReviewTask
from tagger.review.push import PushSettings, push, push_rechecks
from tagger.review.tasks import read_meta, read_paper
from tagger.strategies.uncertainty import Uncertainty

ALL = PushSettings(100, Uncertainty(), random_share=0.0)


class Drawer:
    """Keeps tasks as a project does."""

    url = "nowhere"

    def __init__(self):
        self.kept = []

    def fit_interface(self, taxonomy):
        return []

    def tasks(self):
        return [
            ReviewTask(
                number,
                read_paper(task["data"]),
                task["data"],
                read_meta(task["meta"]),
                False,
                False,
            )
            for number, task in enumerate(self.kept)
        ], []

    def task_count(self):
        return len(self.kept)

    def import_tasks(self, tasks):
        self.kept += tasks

    def delete_tasks(self, numbers):
        assert not numbers

    def show_predictions_of(self, model):
        pass

    def add_tabs(self):
        pass


def label(**changes):
    fields = {"text": "", "tags": {"kind": ["method"]}, "annotator": "ann", "source": "review"}
    return Label(**fields, time="2026-01-01T00:00:00Z", **changes)


def with_doi(paper, doi):
    return Paper(paper.title, paper.abstract, identifiers=(f"doi:10.1/{doi}",))


def test_a_paper_that_was_labelled_by_its_title_is_not_sent_when_it_comes_with_a_doi(model, papers):
    said, waiting, new = papers[:3]
    drawer = Drawer()
    push([waiting], model, [], drawer, ALL)
    came = [with_doi(said, "a"), with_doi(waiting, "b"), with_doi(new, "c")]
    report = push(came, model, [label(title=said.title)], drawer, ALL)
    assert [task["data"]["paper"] for task in drawer.kept] == [waiting.id, "doi:10.1/c"]
    assert (report.new, report.waiting) == (1, 2)
    again = push([said, waiting, new], model, [label(title=said.title)], drawer, ALL)
    assert again.new == 0


def test_another_paper_of_the_title_is_sent(model):
    first = label(title="Introduction", id="doi:10.1/a")
    other = Paper("Introduction", "Another one.", identifiers=("doi:10.1/b",))
    drawer = Drawer()
    assert push([other], model, [first], drawer, ALL).new == 1


def test_what_waits_under_its_title_counts_for_the_budget(model, papers):
    drawer = Drawer()
    one = PushSettings(1, Uncertainty(), random_share=0.0)
    push(papers[:1], model, [], drawer, one)
    report = push([with_doi(papers[0], "a"), papers[1]], model, [], drawer, one)
    assert (report.new, report.waiting) == (0, 1)


def test_a_label_is_rechecked_once_whatever_its_paper_is_called(model, papers):
    drawer = Drawer()
    for paper in (papers[0], with_doi(papers[0], "a")):
        report = push_rechecks({paper: "Recheck."}, model, drawer)
    assert report.new == 0
    assert len(drawer.kept) == 1
