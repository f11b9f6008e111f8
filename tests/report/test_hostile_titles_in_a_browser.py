"""Pages with titles that are markup, opened in a real browser: nothing of them runs or loads."""

from dataclasses import replace

import pytest
from helpers.tiny_report import tag_row
from selenium.webdriver.common.by import By

from tagger.comparison import Churn, Comparison
from tagger.registry.comparing import comparison_page
from tagger.report.page import report_page

TITLES = [
    "</script><script>document.title = 'run'</script>",
    "<img src=x onerror=\"document.title = 'run'\">",
    "\"><svg onload=document.title='run'>",
    "' onmouseover='document.title=`run`' x='",
    "<iframe src='http://127.0.0.1:9/x'></iframe><base href='http://127.0.0.1:9/'>",
    "<style>* { display: none }</style>",
    "javascript:document.title='run'",
    "{{ 7 * 7 }} {% raw %} ${7 * 7} &lt;b&gt; &#60;b&#62;",
    "</article></main></body></html><h1>forged</h1>",
    "=cmd|' /C calc'!A0 \\u003cscript\\u003e",
    "\u202edesrever \u0007\u001b[31m \ufffe",
]


@pytest.fixture
def open_page(browser, tmp_path):
    def open_(page):
        file = tmp_path / "page.html"
        file.write_text(page, encoding="utf-8")
        browser.get(file.as_uri())
        return browser

    return open_


def inert(browser):
    """Tell that a page ran, and asked for, nothing but its own."""
    browser.execute_script(
        "for (const node of document.querySelectorAll('*'))"
        " for (const kind of ['mouseover', 'error', 'load', 'click'])"
        "  if (node.tagName !== 'A') node.dispatchEvent(new Event(kind))"
    )
    kinds = browser.execute_script(
        "return [...new Set([...document.querySelectorAll('*')].map((n) => n.localName))]"
    )
    asked = browser.execute_script(
        "return performance.getEntriesByType('resource').map((one) => one.name)"
    )
    handlers = browser.execute_script(
        "return [...document.querySelectorAll('*')].flatMap((n) => [...n.attributes])"
        ".filter((a) => a.name.startsWith('on')).length"
    )
    return (
        browser.title != "run"
        and not {"img", "iframe", "base", "object", "embed"} & set(kinds)
        and browser.execute_script("return document.scripts.length") <= 1
        and not asked
        and not handlers
        and browser.get_log("browser") == []
    )


def test_a_report_of_hostile_titles(make_report, write_results, taxonomy, open_page):
    rows = [tag_row(title, pages=[f"{title[:20]}.txt"]) for title in TITLES]
    pairs = [{"ids": [rows[0]["id"], rows[1]["id"]], "titles": TITLES[:2], "similarity": 0.5}]
    report = make_report([write_results("runs", 1, *rows, pairs=pairs)])
    papers = tuple(replace(paper, abstract=TITLES[1]) for paper in report.papers)
    page = open_page(report_page(replace(report, papers=papers)))
    assert inert(page)
    shown = [
        node.get_property("textContent")
        for node in page.find_elements(By.CSS_SELECTOR, "#list .title")
    ]
    assert shown == TITLES
    search = page.find_element(By.ID, "search")
    search.send_keys("<img src=x onerror")
    assert len(page.find_elements(By.CSS_SELECTOR, "#list .title")) >= 1
    assert inert(page)


def test_a_comparison_of_hostile_titles(open_page):
    comparison = Comparison(
        before="tagger/1",
        after=TITLES[0],
        facets=(),
        skipped=(TITLES[1],),
        churn=Churn(papers=len(TITLES), shares={"kind": 1.0}, titles={"kind": tuple(TITLES)}),
        speed=None,
    )
    page = open_page(comparison_page(comparison))
    assert inert(page)
    shown = [node.get_property("textContent") for node in page.find_elements(By.TAG_NAME, "li")]
    assert shown == TITLES
