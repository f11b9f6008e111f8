"""Titles with markup, opened in a real browser: nothing of them runs or loads."""

from dataclasses import replace

import pytest
from helpers.tiny_report import tag_row
from selenium.webdriver.common.by import By

from tagger.report import report_page

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
    """Tell whether a page ran and loaded only its own script."""
    return browser.execute_script(
        "const all = [...document.querySelectorAll('*')];"
        "for (const node of all) for (const kind of ['mouseover', 'error', 'load', 'click'])"
        "  if (node.tagName !== 'A') node.dispatchEvent(new Event(kind));"
        "return document.title !== 'run' && document.scripts.length <= 1"
        " && !document.querySelector('img, iframe, base, object, embed')"
        " && !performance.getEntriesByType('resource').length"
        " && !all.some((node) => [...node.attributes].some((one) => one.name.startsWith('on')))"
    ) and not browser.get_log("browser")


def texts(browser, selector):
    nodes = browser.find_elements(By.CSS_SELECTOR, selector)
    return [node.get_property("textContent") for node in nodes]


def test_a_report_of_hostile_titles(make_report, write_results, open_page):
    rows = [tag_row(title, pages=[f"{title[:20]}.txt"]) for title in TITLES]
    pairs = [{"ids": [rows[0]["id"], rows[1]["id"]], "titles": TITLES[:2], "similarity": 0.5}]
    report = make_report([write_results("runs", 1, *rows, pairs=pairs)])
    papers = tuple(replace(paper, abstract=TITLES[1]) for paper in report.papers)
    page = open_page(report_page(replace(report, papers=papers)))
    assert inert(page)
    assert texts(page, "#list .title") == TITLES
    page.find_element(By.ID, "search").send_keys("<img src=x onerror")
    assert len(texts(page, "#list .title")) >= 1
    assert inert(page)
