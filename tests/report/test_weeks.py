"""The report of a library opens on the last week: new papers, tags that rise, what waits."""

import html
import shlex
from datetime import date, timedelta

import pytest
from helpers.samples import ran, refused
from helpers.tiny_report import review, tag_row

from tagger.papers import Library, LibraryPaper, Paper, TaggedPaper
from tagger.report import build_report, report_page

MONDAY = date(2026, 3, 2)
LAW = ["law"]


@pytest.fixture
def library(tmp_path, taxonomy):
    """Ten papers in each of three weeks and none in the one between; law rises in the last."""
    path = tmp_path / "library"
    library = Library.create(path)
    for week in (0, 1, 3):
        rows = [
            tag_row(
                f"Paper {week}-{n}",
                sure=0.5 if n < 2 else 0.9,
                fields=LAW if n < (7 if week == 3 else 1) else ["health"],
            )
            for n in range(10)
        ]
        days = [MONDAY + timedelta(weeks=week, days=n % 7) for n in range(10)]
        papers = [
            LibraryPaper(TaggedPaper.from_row(row), f"On {row['title']}.", day)
            for row, day in zip(rows, days, strict=True)
        ]
        with library.changing():
            library.add(papers, taxonomy.model_dump_json())
    return path


def test_the_last_week_is_compared_with_the_weeks_before(library):
    week = build_report([library], None).week
    assert (week.name, week.new, week.new_before) == ("week of 2026-03-23", 10, (10, 10, 0))
    [rising] = week.rising
    assert (rising.facet, rising.tag, rising.papers) == ("field", "law", 7)
    assert (rising.share, rising.share_before) == (0.7, 0.1)
    assert (week.waiting, week.waiting_before, week.untagged) == (2, 4, {})


def test_a_near_duplicate_is_named_in_the_week_of_the_later_paper(library, taxonomy):
    rows = [tag_row(f"Version {n}") for n in range(2)]
    for row, day in zip(rows, (MONDAY, MONDAY + timedelta(weeks=3)), strict=True):
        one = LibraryPaper(TaggedPaper.from_row(row), " ".join(f"w{n}" for n in range(40)), day)
        with (opened := Library(library)).changing():
            opened.add([one], taxonomy.model_dump_json())
            opened.find_near_duplicates()

    def named(weeks=1):
        pairs = build_report([library], None, weeks=weeks).near_duplicates
        return [pair.titles for pair in pairs if pair.titles[1].startswith("Version")]

    assert named() == [("Version 0", "Version 1")]
    with opened.changing():
        row = tag_row("Paper of the next week")
        one = LibraryPaper(TaggedPaper.from_row(row), "x", MONDAY + timedelta(weeks=4))
        opened.add([one], taxonomy.model_dump_json())
    assert (named(), named(5)) == ([], [("Version 0", "Version 1")])


def test_the_page_lists_the_papers_of_the_week_and_counts_those_before(library):
    found = build_report([library], None)
    assert [paper.tagged.title for paper in found.papers] == [f"Paper 3-{n}" for n in range(10)]
    assert all(paper.abstract for paper in found.papers)
    assert len(found.folders) == 3
    page = report_page(found)
    assert "Week of 2026-03-23: 10 new papers" in page
    assert "Paper 1-5" not in page
    assert " --labels ours</code>" in report_page(found, " --labels ours")
    assert len(build_report([library], None, weeks=2).papers) == 20


def test_the_commands_of_the_page_name_a_library_with_a_space(library):
    moved = library.rename(library.with_name("my library"))
    assert shlex.quote(str(moved)) in html.unescape(report_page(build_report([moved], None)))


def test_answers_of_reviewers_count_in_the_week(library, label_folder):
    answers = [review(f"Paper {n}", "method", text="") for n in ("3-0", "0-0", "0-1")]
    lines = [answer.model_dump_json(exclude_defaults=True) + "\n" for answer in answers]
    (label_folder / "corrections.jsonl").write_text("".join(lines), encoding="utf-8")
    week = build_report([library], label_folder).week
    assert (week.waiting, week.waiting_before) == (1, 2)


def test_a_first_week_has_nothing_to_rise_from(tmp_path, taxonomy):
    library = Library.create(tmp_path / "library")
    papers = [TaggedPaper.from_row(tag_row(f"Paper {n}", fields=LAW)) for n in range(9)]
    with library.changing():
        library.add((LibraryPaper(one, None, MONDAY) for one in papers), taxonomy.model_dump_json())
    found = build_report([tmp_path / "library"], None)
    assert (found.week.new_before, found.week.rising) == ((), ())
    assert "abstracts" in [part.part for part in found.left_out]
    assert "Week of 2026-03-02" in report_page(found)


def test_a_week_whose_papers_are_all_known_by_now_has_none_that_is_new(tmp_path, taxonomy):
    library = Library.create(tmp_path / "library")
    title = "Graph networks for small molecules"
    rows = tag_row(title), tag_row(f"{title} with sparse attention")
    names = "arxiv:2601.00001", "doi:10.1/x"
    with library.changing():
        for n, (row, name) in enumerate(zip(rows, names, strict=True)):
            one = TaggedPaper.from_row({**row, "id": name, "identifiers": [name]})
            added = [LibraryPaper(one, None, MONDAY + timedelta(weeks=n))]
            library.add(added, taxonomy.model_dump_json())
        library.complete(Paper(title, "", identifiers=names), abstract=False)
    found = build_report([tmp_path / "library"], None)
    assert (found.week.new, found.week.new_before, found.week.rising) == (0, (1,), ())
    page = report_page(found)
    assert "Week of 2026-03-09: 0 new papers" in page
    assert "0 papers are new, after 1 in the 1 week before." in page


def test_the_command_tells_scripts_of_the_week(library, tmp_path):
    assert ran("report", "library", cwd=tmp_path)["week"]["new"] == 10
    Library.create(tmp_path / "empty")
    refused("contains no papers", "report", "empty", cwd=tmp_path)
