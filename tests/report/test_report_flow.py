from collections import Counter
from datetime import date

import pytest
from tiny_report import review, tag_row

from tagger.paper import paper_id
from tagger.report.flow import Flow, count_days, count_flow, count_runs
from tagger.report.papers import gather_near_duplicates, gather_papers, task_address


@pytest.fixture
def papers(runs, answers):
    found = gather_papers(runs, answers, "adjudicate", {paper_id("Hazel"): "On hazels."})
    return {paper.tagged.title: paper for paper in found}


def test_papers_come_in_the_order_of_the_runs_and_the_latest_run_counts(papers):
    assert list(papers) == ["Ash", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel"]
    ash, birch = papers["Ash"], papers["Birch"]
    assert ash.tagged.tags["kind"] == ("study",)
    assert ash.pages == ("monday.txt", "friday.txt")
    assert [run.rsplit("/", 1)[1] for run in ash.runs] == ["first", "third"]
    assert (birch.tagged.model, birch.pages) == ("tagger/2", ("monday.txt", "tuesday.txt"))


def test_what_people_said_counts(papers):
    status = {title: paper.status for title, paper in papers.items()}
    assert status == {
        "Ash": "corrected",
        "Birch": "confirmed",
        "Cedar": "not a paper",
        "Dogwood": "sure",
        "Elm": "cannot tell",
        "Fir": "confirmed",
        "Ginkgo": "disputed",
        "Hazel": "waiting",
    }
    ash = papers["Ash"].answer
    assert (ash.changed, ash.before["kind"], ash.tags) == (
        ("kind",),
        ("method",),
        {"kind": ("study",)},
    )
    assert papers["Birch"].answer.annotators == ("ben",)
    assert papers["Ginkgo"].answer.annotators == ("ann", "ben")
    # What is no paper has no tags, what is disputed keeps those of the model.
    assert papers["Cedar"].tags == {"kind": (), "field": ()}
    assert papers["Ginkgo"].tags["kind"] == ("method",)


def test_abstracts_come_from_pages_and_from_labels(papers):
    assert papers["Hazel"].abstract == "On hazels."
    assert papers["Ash"].abstract == "An abstract on Ash."
    assert papers["Dogwood"].abstract == ""


def test_the_flow_adds_up_as_counted_by_hand(papers):
    flow = count_flow(list(papers.values()))
    assert flow == Flow(
        pages=3,  # monday, tuesday, friday
        found=10,  # eight papers, and Ash and Birch on a second page
        papers=8,
        marked=5,  # Birch, Cedar, Elm, Ginkgo, Hazel: Ash is sure by now
        waiting=1,  # Hazel
        reviewed=6,  # all but Dogwood and Hazel
        confirmed=2,  # Birch, Fir
        corrected=1,  # Ash
        not_papers=1,  # Cedar
        cannot_tell=1,  # Elm
        disputed=1,  # Ginkgo
    )
    assert (flow.duplicates, flow.sure) == (2, 3)
    assert flow.unmarked == 2  # Ash, Fir


def test_a_page_without_a_name_counts_once(write_results):
    papers = gather_papers([write_results("run", 1, tag_row("Ash", pages=[]))])
    flow = count_flow(papers)
    assert (flow.pages, flow.found, flow.duplicates) == (0, 1, 0)


def test_runs_are_counted_oldest_first(runs):
    first, second, third = count_runs(runs)
    assert [one.run.name.rsplit("/", 1)[1] for one in (first, second, third)] == [
        "first",
        "second",
        "third",
    ]
    assert [(one.new, one.marked) for one in (first, second, third)] == [(4, 3), (4, 4), (0, 0)]
    assert first.tags == {"kind": Counter(method=4), "field": Counter(health=1, heart=1)}
    assert (first.share("field", "heart"), third.share("kind", "poem")) == (0.25, 0)


def test_days_are_counted_by_the_last_answer(papers):
    days = [(one.day, one.reviewed, one.corrected) for one in count_days(list(papers.values()))]
    assert days == [(date(2026, 3, 2), 4, 1), (date(2026, 3, 4), 2, 0)]


def test_a_pair_in_two_runs_is_told_once(write_results):
    rows = [tag_row("Ash"), tag_row("Birch")]
    pair = {"ids": ["a", "b"], "titles": ["Ash", "Birch"], "similarity": 0.3}
    other = {**pair, "ids": ["b", "a"], "titles": ["Birch", "Ash"]}
    near = {**pair, "ids": ["a", "c"], "similarity": 0.5}
    folders = [
        write_results("one", 1, *rows, pairs=[pair, near]),
        write_results("two", 2, *rows, pairs=[other]),
    ]
    assert [pair.similarity for pair in gather_near_duplicates(folders)] == [0.5, 0.3]


def test_a_task_is_linked_only_where_it_is_sure():
    def answer(project, task):
        time = "2026-03-02T10:00:00Z"
        origin = {"annotation": f"{project}-{task}", "updated": time, "project": project}
        return review("Ash", "study", origin={**origin, "task": task})

    known, twin, other = answer("3/2026-01-01", 7), answer("3/2026-02-02", 7), answer("4/x", 9)
    address = "http://127.0.0.1:8080/projects/3/data?task=7"
    assert task_address(known.origin, [known, other], "http://127.0.0.1:8080/") == address
    assert task_address(known.origin, [known, twin], "http://127.0.0.1:8080") is None
