"""Which papers a push sends, on a stand-in server; the acceptance tests use a real one."""

import copy
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.samples import label_of
from helpers.stand_in_project import stand_in_project
from hypothesis import given
from hypothesis import strategies as st

from tagger.model import Reference, ReviewRule
from tagger.papers import Paper
from tagger.review import (
    PushSettings,
    Recheck,
    Selection,
    Versions,
    push,
    push_papers,
    push_rechecks,
    selection,
)
from tagger.review.strategies.random import random_number
from tagger.review.strategies.uncertainty import Uncertainty
from tagger.tagging.batch import tag_batch
from tagger.taxonomy import Facet

ALL = PushSettings(100, Uncertainty(), audit_share=0.0)


@pytest.fixture
def project(taxonomy):
    with stand_in_project(taxonomy) as project:
        yield project


def tasks_of(project):
    return [*project.kept.values()]


def audited(project):
    return [t["data"]["paper"] for t in tasks_of(project) if t["meta"]["queue"] == "audit"]


label = partial(label_of, text="", tags={"kind": ["method"]}, source="review")


def with_doi(paper, doi):
    return Paper(paper.title, paper.abstract, identifiers=(f"doi:10.1/{doi}",))


def test_a_paper_labelled_by_its_title_is_not_sent_again_with_a_doi(model, papers, project):
    done, waiting, new = papers[:3]
    push_papers([waiting], model, [], project, ALL)
    came = [with_doi(done, "a"), with_doi(waiting, "b"), with_doi(new, "c")]
    report = push_papers(came, model, [label(title=done.title)], project, ALL)
    assert [task["data"]["paper"] for task in tasks_of(project)] == [waiting.id, "doi:10.1/c"]
    assert (report.new, report.waiting) == (1, 2)
    again = push_papers([done, waiting, new], model, [label(title=done.title)], project, ALL)
    assert again.new == 0


def test_another_paper_of_the_title_is_sent(model, project):
    first = label(title="Introduction", id="doi:10.1/a")
    other = Paper("Introduction", "Another one.", identifiers=("doi:10.1/b",))
    assert push_papers([other], model, [first], project, ALL).new == 1


def test_a_waiting_paper_with_another_id_counts_for_the_budget(model, papers, project):
    one = PushSettings(1, Uncertainty(), audit_share=0.0)
    push_papers(papers[:1], model, [], project, one)
    report = push_papers([with_doi(papers[0], "a"), papers[1]], model, [], project, one)
    assert (report.new, report.waiting) == (0, 1)


def test_a_label_is_rechecked_once_under_any_id_of_its_paper(model, papers, project):
    for paper in (papers[0], with_doi(papers[0], "a")):
        report = push_rechecks({paper: Recheck("Recheck.", ("kind",))}, model, project)
    assert report.new == 0
    assert len(tasks_of(project)) == 1


def test_of_very_many_papers_a_strategy_chooses_from_a_sample(model, papers, project, monkeypatch):
    monkeypatch.setattr(selection, "POOL_SIZE", 30)
    report = push_papers(papers, model, [], project, ALL)
    assert (report.candidates, report.new) == (len(papers), 30)
    # The next push chooses from what is left.
    report = push_papers(papers, model, [], project, ALL)
    assert (report.candidates, report.new) == (len(papers) - 30, 30)


def test_the_audit_share_holds_over_the_life_of_a_pool(model, papers, project):
    for number in range(1, 4):
        settings = PushSettings(20 * number, Uncertainty(), audit_share=0.1)
        report = push_papers(papers, model, [], project, settings)
        assert (report.new, report.queues["audit"]) == (20, 2)
    # Lowest random numbers first, independent of the model.
    assert audited(project) == [paper.id for paper in sorted(papers, key=random_number)[:6]]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.floats(0, 1))
def test_the_audit_share_is_that_of_all_tasks_however_many_pushes_send_them(counts, share):
    sent = audit = 0
    for count in counts:
        run = SimpleNamespace(tasks=[SimpleNamespace(queue="checked")] * sent)
        audit += Selection.audit_quota(run, share, count)
        sent += count
    assert share * sent - 1e-5 <= audit < share * sent + 1


def test_an_audit_takes_the_next_papers_whatever_became_of_them(model, papers, project):
    first, second, third, fourth, *_ = order = sorted(papers, key=random_number)
    labels = [label(title=first.title, source="seed"), label(title=second.title)]
    push_papers([third], model, labels, project, ALL)
    settings = PushSettings(3, Uncertainty(), audit_share=1.0)
    report = push_papers(papers, model, labels, project, settings)
    # Of the first, nothing can be learned; the second is sent again, the task of the third moves.
    assert audited(project) == [third.id, second.id, fourth.id]
    assert (report.new, report.moved, report.refreshed, report.waiting) == (2, 1, 1, 3)
    assert all(task["data"]["queue"] == "blind" for task in tasks_of(project))
    assert not any(task["predictions"] for task in tasks_of(project))
    assert push_papers(papers, model, labels, project, settings).new == 0
    project.annotate(third, kind=["study"])
    assert push_papers(papers, model, labels, project, settings).new == 1
    assert audited(project)[-1] == order[4].id


def test_a_moved_task_that_somebody_began_is_left_to_them(model, papers, project):
    push_papers(papers[:1], model, [], project, ALL)
    predict = model.predict

    def slow(given, *rest):
        project.annotate(papers[0], kind=["study"])
        return predict(given, *rest)

    model.predict = slow
    settings = PushSettings(1, Uncertainty(), audit_share=1.0)
    assert push_papers(papers[:1], model, [], project, settings).moved == 0
    assert not audited(project)
    # It is sent again at the next push.
    assert push_papers(papers[:1], model, [], project, settings).queues == {"audit": 1}


def test_a_task_answered_during_a_push_is_not_refreshed(model, papers, project):
    push_papers(papers[:3], model, [], project, ALL)

    predict = model.predict

    def slow(given, *options):
        project.annotate(papers[1], kind=["study"])
        return predict(given, *options)

    model.name, model.predict = "tagger/2", slow
    assert push_papers(papers[:3], model, [], project, ALL).refreshed == 2
    models = [task["meta"]["model"] for task in tasks_of(project)]
    assert models == ["tagger/2", "tagger/1", "tagger/2"]


def test_a_task_answered_while_others_are_refreshed_is_left_alone(
    model, papers, project, monkeypatch
):
    monkeypatch.setattr(push, "_REFRESHED_AT_ONCE", 2)
    push_papers(papers[:5], model, [], project, ALL)
    model.name = "tagger/2"

    def answer_the_last(stage, done, total):
        if stage == "Refreshing" and done == 2:
            project.annotate(papers[4], kind=["study"])

    report = push_papers(papers[:5], model, [], project, ALL, progress=answer_the_last)
    assert report.refreshed == 4
    last = next(task for task in tasks_of(project) if task["data"]["paper"] == papers[4].id)
    assert last["meta"]["model"] == last["predictions"][0]["model_version"] == "tagger/1"


def test_a_paper_says_how_sure_the_model_is_of_each_tag(model, papers, project):
    settings = replace(ALL, blind_share=0.5)
    report = push_papers(papers[:9], model, [], project, settings)
    tasks = tasks_of(project)
    shown = [task for task in tasks if task["predictions"]]
    assert 0 < len(shown) < report.new
    for task in shown:
        kinds, field = task["data"]["confidence"]["kind"], task["data"]["confidence"]["field"]
        tags = task["meta"]["tags"]
        assert all(0 < float(kinds[tag]) <= 1 for tag in tags["kind"])
        assert all(tag in field["ALL"] for tag in tags["field"])
    assert not any(task["data"]["confidence"] for task in tasks if task not in shown)


def test_a_facet_that_the_model_lacks_is_shown_without_suggestion(model, papers, project):
    facet = Facet(name="size", definition="How long.", tags=model.taxonomy.facets[0].tags)
    kind, field = model.taxonomy.facets
    described = kind.model_copy(update={"definition": "Said anew."})
    taxonomy = model.taxonomy.model_copy(update={"facets": (described, facet, field)})
    assert push_papers(papers[:1], model, [], project, ALL, taxonomy=taxonomy).new == 1
    [task] = tasks_of(project)
    assert "size" not in {entry["from_name"] for entry in task["predictions"][0]["result"]}
    assert task["meta"]["facets"] == ["kind", "size", "field"]
    assert set(task["meta"]["tags"]) == {"kind", "field"}
    assert task["meta"]["taxonomy"] == taxonomy.version
    assert push_papers(papers[:1], model, [], project, ALL, taxonomy=taxonomy).refreshed == 0


def test_papers_on_which_two_versions_differ_have_a_queue_of_their_own(model, papers, project):
    other = copy.copy(model)
    other.predict_proba = lambda given: {
        name: np.where([[len(paper.title) % 2] for paper in given], table[:, ::-1], table)
        for name, table in model.predict_proba(given).items()
    }
    settings = PushSettings(len(papers), Versions(model.rule(), other), 0.0)
    report = push_papers(papers, model, [], project, settings)
    assert 0 < report.queues["versions"] == report.new < len(papers)
    assert {task["data"]["queue"] for task in tasks_of(project)} == {"blind"}
    assert not any(task["predictions"] for task in tasks_of(project))


def test_duplicate_tasks_of_a_killed_push_are_removed(model, papers, project):
    push_papers(papers[:3], model, [], project, ALL)
    project.import_tasks(tasks_of(project))
    project.annotate(papers[0], kind=["study"])
    report = push_papers(papers[:3], model, [], project, ALL)
    assert (report.new, report.duplicates_removed) == (0, 3)
    left = [task["data"]["paper"] for task in tasks_of(project)]
    assert sorted(left) == sorted(paper.id for paper in papers[:3])
    assert project.annotated_tasks()


def test_chapters_that_share_the_id_of_their_book_keep_their_tasks(model, papers, project):
    first, second = (with_doi(paper, "book") for paper in papers[:2])
    push_papers([first], model, [], project, ALL)
    push_papers([second], model, [], project, ALL)
    assert push_papers([], model, [], project, ALL).duplicates_removed == 0
    assert len(tasks_of(project)) == 2


def test_a_duplicate_task_that_somebody_has_just_begun_is_kept(model, papers, project, monkeypatch):
    push_papers(papers[:1], model, [], project, ALL)
    project.import_tasks(tasks_of(project))
    listed = project.tasks()
    project.annotate(papers[0], kind=["study"])
    monkeypatch.setattr(project, "tasks", lambda: listed)
    assert push_papers(papers[:1], model, [], project, ALL).duplicates_removed == 0
    assert project.annotated_tasks()


def test_papers_are_compared_with_the_labelled_ones_once(model, papers, project, monkeypatch):
    compared = []
    similarity_of = Reference.similarity_of

    def count(reference, vectors):
        compared.append(len(vectors))
        return similarity_of(reference, vectors)

    monkeypatch.setattr(Reference, "similarity_of", count)
    push_papers(papers, model, [], project, replace(ALL, blind_share=1.0, audit_share=0.1))
    # The second call is for the tasks that wait: none.
    assert compared == [len(papers), 0]


def test_an_audit_encodes_no_labelled_paper(model, papers, project):
    encoded = []
    encode = model.encode
    model.encode = lambda given, *rest: encoded.extend(given) or encode(given, *rest)
    seen = [label(title="Seen", text="heart", source="seed")]
    push_papers(papers, model, seen, project, PushSettings(3, Uncertainty(), audit_share=1.0))
    assert not encoded
    push_papers(papers, model, seen, project, ALL)
    assert encoded


def test_a_paper_is_unfamiliar_if_tag_sends_it_to_review_as_novel(model, papers, project):
    foreign = [Paper(title, "我们综述了大型语言模型的最新进展。") for title in ("综述", "模型")]
    papers = [*papers[:8], *foreign]
    tagged = tag_batch(papers, model, ALL.rule).papers
    novel = {one.id for one in tagged if one.review and "labelled papers" in one.review.reason}
    assert {one.id for one in foreign} <= novel != {one.id for one in papers}
    push_papers(papers, model, [label(title="Seen", text="heart", source="seed")], project, ALL)
    unfamiliar = {
        t["data"]["paper"] for t in tasks_of(project) if t["meta"]["queue"] == "unfamiliar"
    }
    assert unfamiliar == novel
    # With a precision target that all tags reach, only these are sent.
    facets = model.taxonomy.facets
    sure = ReviewRule(0.5, {facet.name: dict.fromkeys(facet.tag_names, 0.0) for facet in facets})
    with stand_in_project(model.taxonomy) as other:
        push_papers(papers, model, [], other, replace(ALL, rule=sure, doubtful_only=True))
        assert {task["data"]["paper"] for task in tasks_of(other)} == novel
