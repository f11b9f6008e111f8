import pytest
from helpers.reading import source, texts
from helpers.samples import ABSTRACT, page
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.papers import merge_duplicates, read_papers
from tagger.papers.readers import digest
from tagger.papers.readers.records import Notice

words = st.lists(st.sampled_from(["deep", "graph", "survey", "Of", "x"]), min_size=1, max_size=8)
titles = st.lists(words.map(" ".join), min_size=1, max_size=8)


def test_the_three_real_pages(shared):
    entries = list(read_papers(sorted((shared / "digests").glob("*.txt"))))
    papers = merge_duplicates(entries)
    assert (len(entries), len(papers)) == (237, 210)
    assert sum(len(paper.sources) for paper in papers) == 237
    names = {source for paper in papers for source in paper.sources}
    assert names == {"000.txt", "001.txt", "003.txt"}
    for paper in papers:
        assert not set("\\{}\n\t") & set(paper.title + paper.abstract)
        assert len(paper.abstract.split()) > 100


DATES = st.sampled_from(["Mar 12", "March 12, 2025", "12 March", "2025-03-12"])


@given(titles, DATES, st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_every_entry_is_read_and_dates_are_skipped(names, date, has_header, newline):
    header = f"new\n\nSubscribe\n\n{date}\n\n" if has_header else ""
    text = page(*names, header=header) + (header and f"\n\n{date}\n\n")
    papers = digest.read(source(text.replace("\n", newline)))
    assert [paper.title for paper in papers] == names
    assert all(paper.sources == ("given.txt",) for paper in papers)


def test_a_link_below_a_title_is_its_link_and_one_in_an_abstract_is_text():
    link, text = "https://arxiv.org/abs/2611.0000", "We sail. We dock. Code is at"
    code = "https://x.io/code"
    given = f"Tides\n{link}1\n\n{text}\n{code}\nnow.\n\nEbbs\n\n<{link}2>\n\n{text} x.\n\n{link}3\n"
    papers = list(digest.read(source(given)))
    assert [(paper.title, paper.id, paper.abstract) for paper in papers] == [
        ("Tides", "arxiv:2611.00001", f"{text} {code} now."),
        ("Ebbs", "arxiv:2611.00002", f"{text} x."),
    ]


@pytest.mark.parametrize(
    "given",
    [
        "News\nMarch 3, 2026\n\nTides\n\n{0}\n\nEbbs\n\n{0}\n",
        "Tides\n\n2026-03-01\n\n{0}\n\nEbbs\n\n2026-03-02\n\n{0}\n",
        "News\n\nMarch 3\n\nTides\nMarch 1\n\n{0}\n\nEbbs\nMarch 2\n\n{0}\n",
        "Tides\n\n{0}\n\nMarch 2\nEbbs\n\n{0}\n",
        "March 1\n\nTides\n\n{0}\n\nEbbs\n\n{0}\n",
    ],
)
def test_a_line_that_is_a_date_is_in_no_title_and_costs_none(given):
    words = "We sail and dock. " * 15
    papers = list(digest.read(source(given.format(f"{words}\nMarch 4\nWe wait."))))
    assert [paper.title for paper in papers] == ["Tides", "Ebbs"]
    assert {paper.abstract for paper in papers} == {f"{words}March 4 We wait."}


FORMS = {
    "headings of Markdown": "# News\n\n## {0}\n\n{2}\n\n## {1}\n\n{2}\n",
    "bold": "**{0}**\n\n{2}\n\n__{1}__\n\n{2}\n",
    "numbers": "1. {0}\n\n{2}\n\n22) {1}\n\n{2}\n",
    "numbers in brackets": "[1] {0}\n\n{2}\n\n[2] {1}\n\n{2}\n",
    "a list": "- {0}\n\n{2}\n\n* {1}\n\n{2}\n",
    "links of Markdown": "[{0}](https://x.io/1)\n\n{2}\n\n**[{1}](https://x.io/2)**\n\n{2}\n",
    "a heading for each abstract": "{0}\n\nAbstract\n\n{2}\n\n{1}\n\n**Abstract:**\n\n{2}\n",
    "a label for each abstract": "{0}\n\nAbstract: {2}\n\n{1}\n\n**Abstract.** {2}\n",
    "rules": "{0}\n\n{2}\n\n---\n\n{1}\n\n{2}\n\n***\n",
    "authors": "{0}\n\nAda de Li, B. C. Wu and Ed Fox\n\n{2}\n\n{1}\n\nGus Hay\n\n{2}\n",
    "authors with a label": "{0}\n\nBy Ada Li\n\n{2}\n\n{1}\n\nAuthors: Gus, Ed\n\n{2}\n",
    "no blank line below titles": "{0}\n{2}\n\n{1}\n{2}\n",
    "no blank lines": "News\n\n{0}\n{2}\n{1}\n{2}\n",
    "headings without blank lines": "# News\n## {0}\n{2}\n## {1}\n{2}\n",
    "nested notes": "- [[{0}]]\n\t- {2}\n- [[{1}]]\n\t- {2}\n",
    "tasks": "- [ ] {0}\n  {2}\n- [x] {1}\n  {2}\n",
    "callouts": "> [!abstract] {0}\n> {2}\n\n> [!abstract] {1}\n> {2}\n",
    "dashes": "\u2013 {0}\n\n{2}\n\n\u25cf\t{1}\n\n{2}\n",
    "a forwarded mail": ">> {0}\n>>\n>> {2}\n>>\n>> {1}\n>>\n>> {2}\n",
    "authors in the second line": "{0}\nAda Li, Ed Fox\n\n{2}\n\n{1}\nGus Hay\n\n{2}\n",
    "authors and venue": "{0}\nAda Li, Ed Fox\nSea Days\n{2}\n\n{1}\nB. Wu, G. Hay\nX\n{2}\n",
    "authors and venue between blank lines": "{0}\n\nAda Li, B. Wu\n\nSea Days\n\n{2}\n\n"
    "{1}\n\nEd Fox, G. Hay (2026)\n\nPort Days\n\n{2}\n",
    "numbers of pages": "{0}\n\n{2}\n\n7\n\f{1}\n\n{2}\n",
    "a footer": "{0}\n\n{2}\n\n{1}\n\n{2}\n\nYou receive this weekly\n\nUnsubscribe\n",
    "records": "Title: {0}\nAuthors: Ada\nVenue: Sea\nAbstract: {2}\n\nTitle: {1}\nAbstract: {2}\n",
    "a short summary, too": "{0}\nTL;DR: We sail.\nAbstract: {2}\n\n{1}\n**TLDR**: See.\n\n{2}\n",
    "a note of Obsidian": "---\ntags: a\n---\n\n{0}\n- authors:: B\n\n> {2}\n\n{1}\n\n{2}\n",
    "the date as numbers": "News\n\n03/04/2026\n\n{0}\n\n{2}\n\n{1}\n\n{2}\n",
    "the week": "News\n\nWeek 12, 2026\n\n{0}\n\n{2}\n\n{1}\n\n{2}\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_page_may_have_other_forms(form, tmp_path):
    names, abstract = ["Tides of 2 Seas? A Survey", "Ebbs *and* Flows"], "We sail and dock. " * 15
    file = tmp_path / "page.md"
    file.write_text(FORMS[form].format(*names, abstract), encoding="utf-8")
    papers = list(read_papers(file))
    assert [(paper.title, paper.abstract) for paper in papers] == [
        (name, abstract.strip()) for name in names
    ]


def test_what_only_looks_like_authors_or_a_heading_is_a_title():
    abstract = "We sail and dock. " * 15
    given = (
        f"Deep Tides, Shallow Seas\n\n{abstract}\n\nOld Ports\n\n# Ebbs\n\n# Flows\n\n{abstract}"
    )
    titles = [paper.title for paper in digest.read(source(given))]
    assert titles == ["Deep Tides, Shallow Seas", "Old Ports", "Ebbs", "Flows"]


def test_a_heading_in_an_abstract_is_no_title():
    part = ("We sail and dock. " * 15).strip()
    text = f"{part}\nMain Outcomes and Measures\n{part}"
    papers = list(digest.read(source(f"Tides\n\n{text}\n\nEbbs\n\n{text}\n")))
    assert [(paper.title, paper.abstract.count("We")) for paper in papers] == [
        ("Tides", 30),
        ("Ebbs", 30),
    ]


def test_a_paragraph_of_sentences_is_no_title():
    paragraph = "We sail and dock. " * 10
    first, second, third = digest.read(
        source(f"Tides\n\n{paragraph}\n\n{paragraph}\n\nEbbs\n\n{paragraph}\n")
    )
    assert (first.title, third.title) == ("Tides", "Ebbs")
    assert isinstance(second, TaggerError)
    assert second.line == 5


LABELS = {
    "in bold": "## {0}\n\n**Authors:** Ada\n\n**Link:** {2}\n\n**Date:** March 2026\n\n{1}\n\n",
    "in one paragraph": "## 1. {0}\n**Authors**: Ada\n**arXiv:** {2}\n*Code: x.io*\n{1}\n\n",
    "in a list": "1. **{0}**\n - **Authors:** A\n - **Link:** [x]({2})\n - **Summary:** {1}\n\n",
    "plain": "{0}\n\nAuthors: Ada\n\nDOI: {2}\n\nAbstract: {1}\n\nKeywords: sea\n\n",
    "with a title": "Title: {0}\nAbstract: {1}\nLink: {2}\nAuthors: Ada\n",
    "of arXiv": "[1] arXiv:{3} [pdf, html, other]\nTitle: {0}\nSubjects: cs.CL\n\n{1}\n\n",
    "of arXiv's feed": "{0}\narXiv:{3}v1 Announce Type: new\nAbstract: {1}\n\n",
    "of Notion": "# {0}\n\nTags: sea\nURL: {2}\nStatus: To read\nCreated: May 1, 2026\n\n{1}\n\n",
    "of Logseq": "- ## {0}\n  collapsed:: true\n\t- url:: {2}\n\t- {1}\n",
    "the day": "## {0}\n\n*Published on 2026-03-01*\n\nLink: {2}\n\n{1}\n\n",
    "of a newsletter": "{0}\n\n{1}\n\n\U0001f517 [Paper]({2})\n\nRead more\n\n",
    "Chinese": "{0}\n\n**\u4f5c\u8005\uff1a** A\n\u94fe\u63a5\uff1a{2}\n\u6458\u8981\uff1a{1}\n\n",
    "Japanese": "\u30bf\u30a4\u30c8\u30eb: {0}\n\u30ea\u30f3\u30af: {2}\n\u8981\u65e8: {1}\n\n",
    "in the line of the title": "1. **{0}** (Li et al., 2026; arXiv:{3})\n\n   {1}\n\n",
    "behind the title": "{0} (arXiv:{3})\n\n{1}\n\n",
    "links and authors": "- **[{0}]({2})** by Ada Li, Ed Fox, 2026\n    - {1}\n",
    "of links": "{0}\n\n[PDF]({2}) | [Code](https://x.io)\n\n{1}\n\n",
}


@pytest.mark.parametrize("form", LABELS)
def test_labelled_lines_are_no_text_and_their_links_identify_the_paper(form, tmp_path):
    names, abstract = ["Tides of 2 Seas: A Survey", "Ebbs"], "We sail and dock. " * 15
    numbers = ["2611.00001", "2611.00002"]
    file = tmp_path / "page"
    records = (
        LABELS[form].format(name, abstract.strip(), f"https://arxiv.org/abs/{number}", number)
        for name, number in zip(names, numbers, strict=True)
    )
    file.write_text("".join(records), encoding="utf-8")
    assert [(paper.title, paper.id, paper.abstract) for paper in read_papers(file)] == [
        (name, f"arxiv:{number}", abstract.strip())
        for name, number in zip(names, numbers, strict=True)
    ]


def test_a_link_above_a_title_is_not_that_of_the_paper_before():
    link, abstract = "https://arxiv.org/abs/2611.0000", "We sail and dock. " * 15
    given = f"{link}1\n\nTides\n\n{abstract}\n\n{link}2\n\nEbbs\n\n{abstract}\n"
    assert [paper.identifiers for paper in digest.read(source(given))] == [(), ()]


@pytest.mark.parametrize("toggle", [" \u25b3 Less", " \u25bd More", ""])
def test_results_of_a_search_on_arxiv_need_no_blank_lines(toggle):
    text = "We sail and dock. " * 15
    given = "".join(
        f"arXiv:2611.0000{n} [pdf, other] cs.CL\n{title}\nAuthors: Ada Li, Ed Fox\n"
        f"Abstract: {text.strip()}{toggle}\n"
        f"Submitted {n} May, 2026; originally announced May 2026.\nComments: 9 pages\n"
        for n, title in enumerate(["Tides of Text", "Ebbs and Flows", "Quiet Old Ports"], 1)
    )
    papers = list(digest.read(source(given)))
    assert [(paper.title, paper.id, paper.abstract) for paper in papers] == [
        ("Tides of Text", "arxiv:2611.00001", text.strip()),
        ("Ebbs and Flows", "arxiv:2611.00002", text.strip()),
        ("Quiet Old Ports", "arxiv:2611.00003", text.strip()),
    ]


def test_what_only_looks_like_a_label_is_a_title_or_text():
    abstract = "We sail and dock. " * 15 + "\nSubjects: forty > 30 ships.\nCode: none."
    names = ["TLDR: Short Tides", "Link: A Map of Ports", "SCORE: Old Ports", "Deep\nBlue Seas"]
    given = "".join(f"{name}\n\n{abstract}\n\n" for name in names)
    papers = list(digest.read(source(given)))
    assert [paper.title for paper in papers] == [name.replace("\n", " ") for name in names]
    assert {paper.abstract for paper in papers} == {abstract.replace(" \n", " ").replace("\n", " ")}


@pytest.mark.parametrize(
    "given",
    [
        "News\n\nMarch 3\n\nSeas\n\n{0}\n\n{2}\n\n{1}\n\n{2}\n\nOld ships\n\n{0} 2\n\n{2}\n",
        "Hello, this week:\n\n{0}\n\n{2}\n\n{1}\n\n{2}\n\nAnd from before:\n\n{0} 2\n\n{2}\n",
        "## Seas\n\n**{0}**\n\n{2}\n\n{1}\n\n{2}\n\n## Two of More Ships?\n\n{0} 2\n\n{2}",
        "## {0}\n\n### Abstract\n{2}\n\n### Notes\n\nAgain.\n\n## {1}\n\n{2}\n\n## {0} 2\n{2}\n",
        "Dear all,\n\nWe have three. See below.\n\n{0}\n\n{2}\n\n{1}\n\n{2}\n\n{0} 2\n\n{2}\n",
        "Found 3\n\nTitle: {0}\n{2}\n\nTitle: {1}\n{2}\n\nNext\n\nTitle: {0} 2\n\n{2}\n\nEnd\n",
    ],
)
def test_headings_are_no_papers_and_are_named(given):
    abstract = "We sail and dock. " * 15
    *papers, notice = digest.read(source(given.format("Tides", "Ebbs", abstract)))
    assert [paper.title for paper in papers] == ["Tides", "Ebbs", "Tides 2"]
    assert all(paper.abstract for paper in papers)
    assert isinstance(notice, Notice)


def test_items_of_a_list_with_a_bold_title_are_papers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Weekly reading\n\n"
        "- **Quiet Parrots: Stopping Early** (Lee and Vogt, 2026). Long chains cost time. We stop\n"
        "  them when the answer no longer changes.\n"
        "- **A Survey of Memory in Agents:** Agents forget. This survey sorts 140 papers.\n\n"
        "A Title Above a List\n\n"
        "- **Key contributions:** We propose a rule. It is good. It is fast.\n"
        "- **We show that long chains** cost time and money. They do. They really do.\n",
        encoding="utf-8",
    )
    papers = list(read_papers(page))
    assert [(paper.title, paper.abstract.split(".")[0]) for paper in papers[:2]] == [
        ("Quiet Parrots: Stopping Early", "Long chains cost time"),
        ("A Survey of Memory in Agents", "Agents forget"),
    ]
    assert papers[0].abstract.endswith("no longer changes.")
    assert papers[2].title == "A Title Above a List"
    assert "cost time and money" in papers[2].abstract


def test_a_paper_of_which_letters_cannot_be_read_is_named(tmp_path):
    place, problems = tmp_path / "page.txt", []
    text = page("Na\u00efve Tides", "Quiet Experts", header="")
    place.write_bytes(text.encode("cp1252"))
    assert [paper.title for paper in read_papers(place, problems.append)] == ["Quiet Experts"]
    assert [problem.line for problem in problems] == [1]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_first_title_with_a_colon_is_no_field_whatever_the_line_ends(newline):
    text = page("TideNet: Routing Tokens at Sea", "Ebbs", header="").replace("\n", newline)
    assert digest.recognise(source(text))


@pytest.mark.parametrize("closing", ["Let me know if you want more!", "See you next week"])
def test_a_closing_sentence_is_named_and_is_no_paper(closing):
    text = f"{page('Naive Tides', 'Quiet Experts')}\n\n{closing}\n"
    *papers, notice = digest.read(source(text))
    assert [paper.title for paper in papers] == ["Naive Tides", "Quiet Experts"]
    assert closing in str(notice)


@pytest.mark.parametrize("title", ["[[Quiet Experts]]", "## [[reading/quiet|Quiet Experts]]"])
def test_a_title_that_links_to_a_note_has_no_brackets(title):
    papers = digest.read(source(page(title, "Tides")))
    assert [paper.title for paper in papers] == ["Quiet Experts", "Tides"]


@pytest.mark.parametrize(("below_title", "between"), [("\n", 2), ("\n\n", 2), ("\n", 1)])
def test_a_link_below_an_abstract_is_that_of_its_paper(below_title, between):
    titles = ("1. Tides and Their Models", "2. Ebbs and Their Models")
    numbers = ("2101.00001", "2101.00002")
    text = "".join(
        f"{title}{below_title}{ABSTRACT}\nhttps://arxiv.org/abs/{number}" + between * "\n"
        for title, number in zip(titles, numbers, strict=True)
    )
    papers = list(digest.read(source(text)))
    assert texts(papers) == [(title[3:], ABSTRACT) for title in titles]
    assert [paper.identifiers for paper in papers] == [(f"arxiv:{number}",) for number in numbers]
