"""Changes of the taxonomy while papers are in review, on a stand-in server."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from helpers.stand_in_project import stand_in_project
from helpers.tiny_model import make_reference, random_heads

from tagger.labels import LabelStore, apply_change, papers_to_rereview
from tagger.model import TaggerModel
from tagger.review import PushSettings, Recheck, pull_labels, push_papers, push_rechecks
from tagger.review.strategies.uncertainty import Uncertainty
from tagger.taxonomy import Taxonomy, add_tag, merge_tags, rename_tag, retire_tag, split_tag

SPLIT_HEALTH = (split_tag, "field", "health", {"lungs": "Lungs.", "nerves": "Nerves."})


class Desk:
    def __init__(self, folder, model, project):
        self.folder, self.base, self.project = folder, model, project

    @property
    def store(self):
        return LabelStore(self.folder)

    @property
    def model(self):
        """A model of today's taxonomy; of what it knows nothing is asked here."""
        base, taxonomy = self.base, self.store.taxonomy
        heads = {h.facet.name: h for h in random_heads(taxonomy, np.random.default_rng(0), 32)}
        name = f"tagger/{taxonomy.version}"
        reference = make_reference(base.reference.vectors, taxonomy)
        return TaggerModel(taxonomy, base.encoder, base.lexical, heads, reference, name, "0" * 64)

    def change(self, kind, *arguments):
        apply_change(self.store, lambda document: kind(document, *arguments))

    def push(self, papers):
        settings = PushSettings(100, Uncertainty(), audit_share=0.0)
        return push_papers(papers, self.model, self.store.all_labels(), self.project, settings)

    def push_rereview(self):
        found = papers_to_rereview(self.store)
        rechecks = {one.paper: Recheck(one.reason, tuple(one.questions)) for one in found}
        return push_rechecks(rechecks, self.model, self.project)

    def pull(self):
        report = pull_labels(self.project, self.store)
        assert report.problems == []
        return report

    def tags(self, paper):
        [label] = [label for label in self.store.labels() if label.id == paper.id]
        return label.tags


@pytest.fixture
def desk(label_folder, model, taxonomy):
    with stand_in_project(taxonomy) as project:
        yield Desk(label_folder, model, project)


@pytest.fixture
def paper(papers):
    return papers[0]


RENAME = (rename_tag, "kind", "survey", "review")


def test_an_answer_on_the_old_interface_is_pulled_after_the_change(desk, paper):
    desk.push([paper])
    desk.change(*RENAME)
    desk.change(merge_tags, "field", ["heart", "law"], "law", "Both.")
    later = datetime.now(UTC) + timedelta(hours=1)
    desk.project.annotate(paper, later, kind=["survey"], field=[["health", "heart"]])
    assert desk.pull().new == 1
    assert desk.tags(paper) == {"kind": ("review",), "field": ("health", "law")}
    assert desk.pull().new == 0


def test_an_answer_to_a_facet_that_is_gone_is_named_once_and_the_others_are_pulled(
    desk, paper, taxonomy, tmp_path
):
    desk.push([paper])
    desk.project.annotate(paper, kind=["survey"], field=[["law"]])
    (tmp_path / "now").mkdir()
    now = Taxonomy(name=taxonomy.name, facets=taxonomy.facets[1:])
    (tmp_path / "now" / "taxonomy.yaml").write_text(now.model_dump_json(), encoding="utf-8")
    store = LabelStore(tmp_path / "now")
    [problem] = pull_labels(desk.project, store).problems
    assert "'kind'" in problem
    [label] = store.all_labels()
    assert label.tags == {"field": ("law",)}
    assert pull_labels(desk.project, store).problems == []


def test_old_and_new_tags_in_one_answer_are_both_understood(desk, paper):
    desk.push([paper])
    desk.project.annotate(paper, kind=["survey"])
    desk.change(*RENAME)
    desk.change(add_tag, "field", "sea", "The sea.")
    changes = desk.push([paper]).interface_changes
    assert any("survey kept for annotations that use it" in change for change in changes)
    assert 'value="review"' in desk.project.interface
    desk.project.annotate(paper, kind=["survey"], field=[["sea"]])
    desk.pull()
    assert desk.tags(paper) == {"kind": ("review",), "field": ("sea",)}


def test_waiting_tasks_are_refreshed_to_the_new_taxonomy(desk, papers):
    desk.push(papers[:3])
    assert desk.push(papers[:3]).refreshed == 0
    desk.change(*RENAME)
    report = desk.push(papers[:3])
    assert (report.new, report.refreshed) == (0, 3)
    version = desk.store.taxonomy.version
    assert {task["meta"]["taxonomy"] for task in desk.project.kept.values()} == {version}


def test_papers_of_a_split_tag_are_rechecked_and_pulled(desk, papers):
    one, other, waiting = papers[:3]
    desk.push([one, other, waiting])
    desk.project.annotate(one, field=[["health"]])
    desk.project.annotate(other, field=[["law"]])
    desk.pull()
    desk.change(*SPLIT_HEALTH)
    report = desk.push_rereview()
    # One reviewed paper, and six seed labels of a tag below it.
    assert report.queues == {"recheck": 7}
    assert (report.refreshed, report.waiting) == (1, 8)
    assert any("+lungs" in change for change in report.interface_changes)
    sent = [task for task in desk.project.kept.values() if task["data"]["queue"] == "recheck"]
    assert "new tags: lungs, nerves" in sent[0]["data"]["reason"]
    # The task is empty: its text says what an empty facet means.
    assert "Left empty" in sent[0]["data"]["reason"]
    assert desk.push_rereview().new == 0
    desk.project.annotate(one, queue="recheck", field=[["health", "lungs"]])
    assert desk.push_rereview().new == 0
    desk.pull()
    assert desk.tags(one)["field"] == ("health", "lungs")
    assert one.id not in {found.paper.id for found in papers_to_rereview(desk.store)}


def test_an_empty_facet_takes_tags_away_only_if_the_recheck_asks_about_it(desk, papers):
    one, other = papers[:2]
    desk.push([one, other])
    for paper in (one, other):
        desk.project.annotate(paper, kind=["survey"], field=[["law"]])
    desk.pull()
    asked = {one: Recheck("Kind?", ("kind",)), other: Recheck("Field?", ("field",))}
    push_rechecks(asked, desk.model, desk.project)
    # A task that waits asks the same after a change of the taxonomy.
    desk.change(add_tag, "field", "sea", "The sea.")
    push_rechecks(asked, desk.model, desk.project)
    for paper in (one, other):
        desk.project.annotate(paper, queue="recheck", kind=["study"])
    desk.pull()
    assert desk.tags(one) == {"kind": ("study",), "field": ("law",)}
    assert desk.tags(other) == {"kind": ("study",), "field": ()}


def test_a_recheck_that_waits_asks_what_a_later_change_asks(desk, paper):
    desk.push([paper])
    desk.project.annotate(paper, kind=["survey"], field=[["health"]])
    desk.pull()
    desk.change(retire_tag, "kind", "survey")
    desk.push_rereview()
    desk.change(*SPLIT_HEALTH)
    desk.push_rereview()
    [task] = [
        one
        for one in desk.project.kept.values()
        if (one["data"]["paper"], one["data"]["queue"]) == (paper.id, "recheck")
    ]
    assert "lungs" in task["data"]["reason"]
    assert task["meta"]["facets"] == ["kind", "field"]


def test_a_paper_can_be_rechecked_after_each_change(desk, paper):
    desk.push([paper])
    desk.project.annotate(paper, kind=["survey"])
    desk.pull()
    desk.change(retire_tag, "kind", "survey")
    desk.push_rereview()
    desk.project.annotate(paper, queue="recheck", kind=["study"])
    desk.pull()
    desk.change(split_tag, "kind", "study", {"x": "X.", "y": "Y."})
    assert desk.push_rereview().new == 5
    tasks = [task for task in desk.project.tasks()[0] if task.paper.id == paper.id]
    assert len(tasks) == 3
    assert desk.push_rereview().duplicates_removed == 0
