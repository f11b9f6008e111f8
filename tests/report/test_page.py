import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup
from helpers.tiny_report import EVIL, review, tag_row

from tagger.errors import TaggerError
from tagger.evaluation import share
from tagger.model import Explanation
from tagger.model.explanation import Evidence, Neighbour
from tagger.papers import NearDuplicate, paper_id, read_papers
from tagger.report import report_page
from tagger.report.page import LeftOut


def texts(page, selector):
    nodes = BeautifulSoup(page, "lxml").select(selector)
    return [" ".join(node.get_text(" ").split()) for node in nodes]


@pytest.fixture
def full(make_report, runs, answers, figures):
    """A report with all parts."""
    report = make_report(
        runs,
        answers,
        figures=figures,
        task_addresses={paper_id("Ash"): "http://127.0.0.1:8080/projects/3/data?task=7"},
        left_out=(LeftOut("abstracts", "no page was named"),),
    )
    decision = report.papers[0].tagged
    evidence = {"kind": {"study": (Evidence("We ask why.", 0.9, 0.3), Evidence("So.", 0.9, 0.9))}}
    near = Neighbour("x", "A neighbour", {"kind": ("study",)}, 0.8)
    ash = replace(report.papers[0], explanation=Explanation(decision, evidence, (near,)))
    return replace(report, papers=(ash, *report.papers[1:]))


def test_a_report_is_not_read_as_a_page_of_papers(full, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(report_page(full), encoding="utf-8")
    with pytest.raises(TaggerError, match=r"report\.html: is a report of tagger"):
        list(read_papers(path))


def test_the_page_shows_the_flow_and_each_paper(full):
    page = report_page(full)
    assert texts(page, "h1") == ["8 papers from 4 pages, 1 to review"]
    assert texts(page, ".flow li") == [
        "Found 11 on 4 pages",
        "Tagged 8 3 duplicates merged",
        "Marked for review 5 3 not marked",
        "Reviewed 6 1 still waits, 2 were not marked",
        "Corrected 1 2 confirmed, 1 not a paper, 1 undecided, 1 disputed",
    ]
    assert texts(page, "#list .title") == [paper.tagged.title for paper in full.papers]
    ash, _, _, dogwood, *_, hazel = texts(page, ".paper")
    for part in (
        "study ✓",
        "Corrected by ann on 2 Mar 2026 , kind: method → study",
        "study We ask why. 0.90, without it 0.30",
        "A neighbour similarity 0.80; study",
        "task in Label Studio",
    ):
        assert part in ash
    assert "So." not in ash
    assert "method 0.90 health 0.97 heart 0.97" in dogwood
    assert "To review: kind: method 0.59 or survey 0.41" in hazel
    assert texts(page, "#review li") == ["Hazel kind: method 0.59 or survey 0.41"]
    assert texts(page, "#duplicates li a") == ["Elm", "Fir"]
    assert texts(page, "footer li") == ["abstracts: no page was named"]
    # Filters know how many papers they leave: Ash by a person, Fir by the model and a person;
    # Cedar is not a paper.
    options = texts(page, ".filters > fieldset:nth-of-type(1) .option")
    assert options == ["method 5", "study 1", "survey 1", "no tag 1"]
    first = BeautifulSoup(page, "lxml").select_one(".paper")
    assert json.loads(first["data-values"])[:3] == [["study"], [], ["corrected"]]


def test_look_alikes_are_grouped_and_capped_and_audited_papers_measured(make_report, runs, figures):
    names = [f"Oak {number}" for number in range(40)]
    pairs = [NearDuplicate((name, f"{name} b"), (name, f"{name} b"), 0.5) for name in names]
    pairs += [NearDuplicate((names[0], other), (names[0], other), 0.2) for other in names[20:]]
    measured = replace(figures, unmarked=(40, share(38, 40)))
    report = make_report(runs, near_duplicates=tuple(pairs), figures=measured)
    page = report_page(report)
    groups = texts(page, "#duplicates li")
    assert len(groups) == 20
    assert groups[0].endswith("and 32 more 0.20 to 0.50 alike")
    assert groups[1] == "Oak 1 Oak 1 b 0.50 alike"
    assert texts(page, "#duplicates summary") == ["8 more groups"]
    flow = texts(page, ".flow li")[2]
    assert flow.endswith("not marked; of 40 such audited papers 95% (83–99%) had the right tags")
    label = BeautifulSoup(page, "lxml").select_one("svg[aria-label^=Reliability]")["aria-label"]
    assert re.search(r"1\.00 right \(0\.\d\d to 1\.00\) of 4", label)


def test_every_link_within_the_page_leads_somewhere(full):
    soup = BeautifulSoup(report_page(full), "lxml")
    names = [node["id"] for node in soup.select("[id]")]
    assert len(names) == len(set(names))
    targets = {link["href"][1:] for link in soup.select("a[href^='#']")}
    assert targets <= set(names)
    assert {"papers", "review", "time", "model", "duplicates"} <= targets


def test_nothing_is_loaded_from_anywhere(full):
    page = report_page(full)
    soup = BeautifulSoup(page, "lxml")
    assert not soup.select("[src], link, iframe, object, embed, [style], [onclick], base")
    addresses = re.findall(r"https?://[^\s\"'<>]+", page)
    assert addresses == ["http://127.0.0.1:8080/projects/3/data?task=7"]
    assert not re.search(r"url\(|@import", page)
    policy = soup.select_one("meta[http-equiv=Content-Security-Policy]")["content"]
    assert policy.startswith("default-src 'none'; ")
    for name in ("style", "script"):
        [element] = soup.select(name)
        digest = base64.b64encode(hashlib.sha256(element.string.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_third_party_text_is_escaped(make_report, write_results, taxonomy):
    row = tag_row("Ash", sure=0.5, pages=[EVIL], model=EVIL)
    row |= {"title": EVIL, "review": {"facets": ["kind"], "reason": EVIL}, "taxonomy": EVIL}
    row["tags"]["field"] = [EVIL]
    row["confidence"]["field"] = {EVIL: 0.9}
    answered = {**tag_row("Birch"), "title": f"{EVIL} too"}
    pair = {"ids": [row["id"], "gone"], "titles": [EVIL, EVIL], "similarity": 0.5}
    folder = write_results("run", 1, row, answered, pairs=[pair])
    label = review("Birch", "study", annotator=EVIL, note=EVIL + "\ud800", text=EVIL)
    report = make_report([replace(folder, name=EVIL)], [label], left_out=(LeftOut(EVIL, EVIL),))
    page = report_page(report)
    soup = BeautifulSoup(page.encode("utf-8"), "lxml")
    assert len(soup.select("script")) == 1
    assert not soup.select("img")
    assert soup.select_one(".title").get_text() == EVIL
    assert json.loads(soup.select_one(".paper")["data-values"])[1] == [EVIL]
    assert soup.select_one("[data-kind=page]")["value"] == EVIL


def test_parts_without_content_are_left_out(make_report, write_results):
    page = report_page(make_report([write_results("run", 1, tag_row("Ash"))], taxonomy=None))
    assert texts(page, "nav a") == ["Papers", "Over time"]
    assert texts(page, "h1") == ["1 paper from 1 page"]
    assert texts(page, "main h3") == ["Ash"]


def test_a_script_gets_the_figures(full):
    found = json.loads(json.dumps(full.as_dict()))
    assert found["flow"]["corrected"] == 1
    assert found["counts"] == {
        "kind": {"method": 5, "study": 1, "survey": 1},
        "field": {"health": 1, "heart": 1, "law": 1},
    }
    assert (found["figures_of"], found["near_duplicates"], found["explained"]) == ("tagger/1", 1, 1)
