from collections import Counter
from datetime import date
from functools import partial

import pytest
from helpers.tiny_report import review, tag_row

from tagger.labels import LabelStore, apply_change
from tagger.papers import Paper, paper_id
from tagger.report.flow import Flow, count_days, count_flow, count_runs
from tagger.report.papers import gather_near_duplicates, gather_papers
from tagger.report.results import translate_results
from tagger.taxonomy import merge_tags, rename_tag, retire_tag


@pytest.fixture
def papers(runs, answers):
    found = gather_papers(runs, answers, "adjudicate", [Paper("Hazel", "On hazels.")])
    return {paper.tagged.title: paper for paper in found}


def test_papers_come_in_the_order_of_the_runs_and_the_latest_run_counts(papers):
    assert list(papers) == ["Ash", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel"]
    ash, birch = papers["Ash"], papers["Birch"]
    assert ash.tagged.tags["kind"] == ("study",)
    assert ash.pages == ("monday.txt", "friday.txt")
    assert [run.rsplit("/", 1)[1] for run in ash.runs] == ["first", "third"]
    assert (birch.tagged.model, birch.pages) == ("tagger/2", ("monday.txt", "tuesday.txt"))
    abstracts = [papers[title].abstract for title in ("Hazel", "Ash", "Dogwood")]
    assert abstracts == ["On hazels.", "An abstract on Ash.", ""]


def test_answers_of_people_decide_the_status(papers):
    assert {title: paper.status for title, paper in papers.items()} == {
        "Ash": "corrected",
        "Birch": "confirmed",
        "Cedar": "not a paper",
        "Dogwood": "not marked",
        "Elm": "cannot tell",
        "Fir": "confirmed",
        "Ginkgo": "disputed",
        "Hazel": "waiting",
    }
    ash = papers["Ash"].answer
    assert (ash.changed, ash.before["kind"]) == (("kind",), ("method",))
    assert ash.tags == {"kind": ("study",)}
    assert papers["Ginkgo"].answer.annotators == ("ann", "ben")
    # An entry that is not a paper has no tags; a disputed paper keeps those of the model.
    assert papers["Cedar"].tags == {"kind": (), "field": ()}
    assert papers["Ginkgo"].tags["kind"] == ("method",)


def test_the_flow_adds_up_as_counted_by_hand(papers):
    flow = count_flow(list(papers.values()))
    assert flow == Flow(
        pages=4,  # monday, two runs' tuesday, friday
        found=11,  # eight papers, Ash on a second page, Birch on three
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
    assert (flow.duplicates, flow.not_marked) == (3, 3)
    assert flow.unmarked == 2  # Ash, Fir


@pytest.mark.parametrize(("names", "counts"), [([], (0, 2, 0)), (["new.txt"], (2, 2, 0))])
def test_files_of_one_name_in_two_runs_count_twice(write_results, names, counts):
    runs = [
        write_results(title, day, tag_row(title, pages=names))
        for day, title in enumerate(("Ash", "Birch"), start=1)
    ]
    flow = count_flow(gather_papers(runs))
    assert (flow.pages, flow.found, flow.duplicates) == counts


def test_a_paper_is_known_by_title_and_by_identifier(write_results):
    by_title = write_results("one", 1, tag_row("Ash", sure=0.5))
    by_doi = write_results("two", 2, {**tag_row("Ash", sure=0.5), "id": "doi:10.1234/ash"})
    labels = [review("Ash", "study", text=""), review("ASH.", "study", id="arxiv:2101.00001")]
    pages = [Paper("Ash", "On ashes.", identifiers=("arxiv:2101.00001",))]
    [ash] = gather_papers([by_title, by_doi], labels, "latest", pages)
    assert (ash.status, ash.abstract) == ("corrected", "On ashes.")
    assert ash.ids == (paper_id("Ash"), "doi:10.1234/ash")
    assert [one.new for one in count_runs([by_title, by_doi])] == [1, 0]
    named = {**tag_row("Ash: a study"), "identifiers": ["doi:10.1234/ash"]}
    third = write_results("three", 3, named)
    assert len(gather_papers([by_doi, third])) == 1


def test_answers_under_two_names_are_answers_on_one_paper(write_results):
    run = write_results("one", 1, tag_row("Ash", sure=0.5))
    first = review("Ash", "study")
    later = review("Ash", "survey", id="doi:10.1234/ash", time="2026-03-03T10:00:00Z")
    [ash] = gather_papers([run], [first, later])
    assert (ash.status, ash.answer.tags) == ("corrected", {"kind": ("survey",)})
    # An answer with only retired tags does not count.
    [ash] = gather_papers([run], [first.model_copy(update={"tags": {}})])
    assert (ash.status, ash.answer) == ("waiting", None)


def test_tags_of_a_run_are_translated(write_results, label_folder):
    version = LabelStore(label_folder).taxonomy.version
    rows = [tag_row("Ash", "survey", 0.9, ["law"]), tag_row("Birch", "study", 0.9)]
    run = write_results("one", 1, *({**row, "taxonomy": version} for row in rows))
    for change in (
        partial(rename_tag, facet="kind", tag="survey", into="review"),
        partial(retire_tag, facet="kind", tag="study"),
        partial(merge_tags, facet="field", tags=("law",), into="heart"),
    ):
        apply_change(LabelStore(label_folder), change)
    taxonomy = LabelStore(label_folder).taxonomy
    ash, birch = translate_results(run, taxonomy).papers
    assert ash.tags == {"kind": ("review",), "field": ("health", "heart")}
    assert ash.confidence["kind"] == {"review": 0.9, "method": 0.1}
    assert ash.confidence["field"] == {"health": 0.97, "heart": 0.97}
    assert birch.tags["kind"] == ()
    now = write_results("two", 2, {**rows[0], "taxonomy": taxonomy.version})
    assert translate_results(now, taxonomy) == now


def test_runs_are_counted_oldest_first(runs):
    counts = count_runs(runs)
    assert [(one.run.name.rsplit("/", 1)[1], one.new, one.marked) for one in counts] == [
        ("first", 4, 3),
        ("second", 4, 4),
        ("third", 0, 0),
    ]
    first, _, third = counts
    assert first.tags == {"kind": Counter(method=4), "field": Counter(health=1, heart=1)}
    assert (first.share("field", "heart"), third.share("kind", "poem")) == (0.25, 0)


def test_days_are_counted_by_the_last_answer(papers):
    days = [(one.day, one.reviewed, one.corrected) for one in count_days(list(papers.values()))]
    assert days == [(date(2026, 3, 2), 4, 1), (date(2026, 3, 4), 2, 0)]


def test_a_pair_in_two_runs_is_listed_once(write_results):
    rows = [tag_row("Ash"), tag_row("Birch")]
    pair = {"ids": ["a", "b"], "titles": ["Ash", "Birch"], "similarity": 0.3}
    other = {**pair, "ids": ["b", "a"], "titles": ["Birch", "Ash"]}
    near = {**pair, "ids": ["a", "c"], "similarity": 0.5}
    folders = [
        write_results("one", 1, *rows, pairs=[pair, near]),
        write_results("two", 2, *rows, pairs=[other]),
    ]
    assert [pair.similarity for pair in gather_near_duplicates(folders)] == [0.5, 0.3]
