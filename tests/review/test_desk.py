"""The papers and answers of a review on this machine, without its page."""

import json
import tempfile
from pathlib import Path

import pytest
from helpers.review_desk import open_desk, reviews
from helpers.samples import write_labels
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.labels import LabelStore, current_labels
from tagger.papers import Paper
from tagger.review.desk import Answer


def accept(desk, number, **changes):
    fields = {"tags": {"kind": ("study",), "field": ("heart",)}, "seconds": 2.5}
    return desk.answer(Answer(number=number, **{**fields, **changes}))


@pytest.fixture
def desk(model, papers, label_folder):
    return open_desk(model, papers, label_folder)


def test_an_answer_is_a_correction_as_a_pull_would_write_it(desk, label_folder):
    chosen = desk.papers[1]
    assert accept(desk, 1, note=" Unclear. ")
    [label] = reviews(label_folder)
    assert (label.title, label.text) == (chosen.paper.title, chosen.paper.abstract)
    # A tag implies those above it.
    assert label.tags == {"kind": ("study",), "field": ("health", "heart")}
    assert (label.annotator, label.queue, label.note) == ("ann", chosen.queue, "Unclear.")
    assert label.prediction.tags == desk.taxonomy.read(chosen.decision.tags)
    assert (label.prediction.model, label.prediction.shown) == ("tagger/1", True)
    assert (label.origin.project, label.origin.lead_time) == ("here", 2.5)
    assert label.taxonomy == desk.taxonomy.version
    assert desk.upcoming(1) == [2]


def test_audit_papers_are_blind_and_spread_over_the_session(desk, label_folder):
    audit = [number for number, chosen in desk.papers.items() if chosen.queue == "audit"]
    assert audit == [3, 8]
    assert [number for number, chosen in desk.papers.items() if not chosen.shown] == audit
    accept(desk, 3)
    [label] = reviews(label_folder)
    assert label.audited
    assert not label.prediction.shown


def test_a_paper_is_answered_once_whichever_process_asks(desk, model, papers, label_folder):
    other = open_desk(model, papers, label_folder)
    assert accept(desk, 1)
    assert not accept(desk, 1)
    assert not accept(other, 1)
    assert len(reviews(label_folder)) == 1
    assert other.upcoming(1) == [2]


def chapters():
    return [
        Paper(title, f"On {title}.", identifiers=("doi:10.1234/book",))
        for title in ("Memory in language models", "Planning with graph search")
    ]


def test_each_chapter_of_a_book_is_answered_in_a_session_of_its_own(model, label_folder):
    for paper in chapters():
        desk = open_desk(model, [paper], label_folder)
        assert desk.upcoming(9) == [1]
        assert accept(desk, 1)
    assert [label.title for label in reviews(label_folder)] == [one.title for one in chapters()]


def test_an_answer_written_by_an_earlier_version_is_known(model, label_folder):
    first, second = (open_desk(model, chapters()[:1], label_folder) for _ in range(2))
    assert accept(first, 1)
    file = label_folder / "corrections.jsonl"
    line = json.loads(file.read_text(encoding="utf-8"))
    # Such a line has the id of the paper, which the other chapters share, at its end.
    line["origin"]["annotation"] = f"here/ann/{line['queue']}/doi:10.1234/book"
    file.write_text(json.dumps(line), encoding="utf-8")
    assert not accept(second, 1)
    assert len(reviews(label_folder)) == 1
    assert accept(open_desk(model, chapters()[1:], label_folder), 1)


def test_the_answer_of_another_process_is_not_taken_back(desk, model, papers, label_folder):
    other = open_desk(model, papers, label_folder)
    desk.skip(1)
    assert accept(other, 1)
    assert not accept(desk, 1)
    assert accept(desk, 2)
    assert desk.undo()
    assert not desk.undo()
    [kept] = current_labels(reviews(label_folder))
    assert kept.id == desk.papers[1].paper.id


def test_an_answer_that_is_taken_back_does_not_count(desk, label_folder):
    accept(desk, 1)
    accept(desk, 2, tags={}, verdict="not a paper")
    assert desk.undo()
    assert desk.upcoming(1) == [2]
    assert desk.drafts[2].outcome == "not-a-paper"
    assert [label.id for label in current_labels(reviews(label_folder))] == [
        desk.papers[1].paper.id
    ]
    accept(desk, 2, tags={"kind": ("survey",), "field": ()})
    merged = {label.id: label.tags for label in LabelStore(label_folder).labels()}
    assert merged[desk.papers[2].paper.id] == {"kind": ("survey",), "field": ()}


def test_a_new_session_continues_with_the_papers_that_are_left(desk, model, papers, label_folder):
    for number in range(1, 6):
        accept(desk, number)
    again = open_desk(model, papers, label_folder)
    left = [chosen.paper for number, chosen in desk.papers.items() if number > 5]
    assert {*left} <= {chosen.paper for chosen in again.papers.values()}
    # One audit paper of five is answered; of fifteen, there should be three.
    assert [chosen.queue for chosen in again.papers.values()].count("audit") == 2


def test_a_session_begins_after_an_answer_was_edited(desk, model, papers, label_folder):
    accept(desk, 1)
    file = label_folder / "corrections.jsonl"
    text = file.read_text(encoding="utf-8")
    queue = desk.papers[1].queue
    file.write_text(text.replace(f'"queue":"{queue}"', '"queue":"my own"'), encoding="utf-8")
    assert reviews(label_folder)[0].queue == "my own"
    again = open_desk(model, papers, label_folder)
    assert desk.papers[1].paper not in {chosen.paper for chosen in again.papers.values()}


def test_what_does_not_fit_the_taxonomy_is_refused_and_nothing_is_written(desk, label_folder):
    for tags in ({"kind": ("poem",)}, {"field": ("poem",)}, {"size": ("big",)}, {"kind": ()}):
        with pytest.raises(TaggerError):
            accept(desk, 1, tags=tags)
    assert not (label_folder / "corrections.jsonl").exists()
    assert desk.upcoming(1) == [1]


@settings(max_examples=8)
@given(steps=st.lists(st.sampled_from(["answer", "skip", "undo"]), max_size=10))
def test_each_paper_is_open_or_answered_whatever_the_steps(model_once, taxonomy, steps):
    papers = [Paper(f"Paper {n}", f"On the heart, case {n}.") for n in range(4)]
    with tempfile.TemporaryDirectory() as place:
        folder = write_labels(Path(place, "labels"), taxonomy)
        desk = open_desk(model_once, papers, folder, budget=4)
        for step in steps:
            first = desk.upcoming(1)
            if step == "undo":
                desk.undo()
            elif first and step == "skip":
                assert desk.skip(*first)
            elif first:
                assert accept(desk, *first)
            opened = desk.upcoming(9)
            answered = {desk.papers[n].paper.id for n in desk.papers if n not in opened}
            assert len({*opened}) == len(opened) == len(papers) - desk.done
            assert {label.id for label in current_labels(reviews(folder))} == answered
        while desk.undo():
            pass
        assert desk.upcoming(9) == [1, 2, 3, 4]
        assert not current_labels(reviews(folder))
