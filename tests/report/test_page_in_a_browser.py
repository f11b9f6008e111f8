"""The page as a person uses it, from a file, in a real browser."""

from dataclasses import replace

import pytest
from helpers.tiny_report import tag_row
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tagger.papers import TaggedPaper, read_papers
from tagger.report import report_page


@pytest.fixture
def page(make_report, runs, answers, figures, tmp_path, browser):
    """Open a report of the eight papers and sixty more."""
    names = [f"Oak {number} {'of the very longest name' * 3}" for number in range(60)]
    oaks = [TaggedPaper.from_row(tag_row(name)) for name in names]
    third = replace(runs[0], name="a/folder/of/a/long/name", papers=(*runs[0].papers, *oaks))
    report = make_report([third, *runs[1:]], answers, figures=figures)
    file = tmp_path / "report.html"
    file.write_text(report_page(report), encoding="utf-8")
    # Nothing is left of the test before.
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    for _ in range(2):
        browser.get(file.as_uri())
        browser.execute_script("localStorage.clear()")
    browser.get_log("browser")
    return browser


def titles(page):
    return [node.text for node in page.find_elements(By.CSS_SELECTOR, "#list .title")]


def press(page, *keys):
    for key in keys:
        page.switch_to.active_element.send_keys(key)


def click(page, selector):
    page.execute_script(f"document.querySelector({selector!r}).click()")


def tick(page, value):
    click(page, f"[data-set][value={value}]")


def choose(page, control, value):
    page.execute_script(
        f"const control = document.getElementById('{control}'); control.value = '{value}';"
        "control.dispatchEvent(new Event('change'))"
    )


def text(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector).text


def focus(page):
    return page.switch_to.active_element.get_attribute("id")


def test_filters_search_and_groups(page):
    assert text(page, "#count") == "68 papers"
    assert len(titles(page)) == 50
    click(page, "#more")
    assert len(titles(page)) == 68
    tick(page, "study")
    assert titles(page) == ["Ash"]
    tick(page, "survey")
    assert titles(page) == ["Ash", "Fir"]
    assert text(page, "#count") == "2 of 68 papers"
    # Each tag shows its count under the filters of the other facets.
    left = [text(page, f"[value={tag}] ~ output") for tag in ("law", "method")]
    assert left == ["1", "65"]
    tick(page, "law")
    assert titles(page) == ["Fir"]
    click(page, "#clear")
    assert text(page, "#count") == "68 papers"
    search = page.find_element(By.ID, "search")
    search.send_keys('"abstract on" GINKGO')
    assert titles(page) == ["Ginkgo"]
    search.send_keys("zzz")
    assert titles(page) == []
    search.clear()
    # Every paper has a confidence for this tag, and none the word.
    search.send_keys("survey")
    assert titles(page) == []
    assert page.find_element(By.ID, "none").is_displayed()
    press(page, Keys.ESCAPE, "c")
    tick(page, "health")
    tick(page, "law")
    choose(page, "group", "1")
    # Dogwood has two tags of the facet and is listed under each.
    groups = [node.text for node in page.find_elements(By.CSS_SELECTOR, ".group")]
    assert groups == ["health\n1", "heart\n1", "law\n1"]
    assert titles(page) == ["Dogwood", "Dogwood", "Fir"]
    choose(page, "group", "")
    choose(page, "sort", "confidence")
    assert titles(page) == ["Dogwood", "Fir"]
    assert page.get_log("browser") == []


def test_keys_theme_and_links(page):
    press(page, Keys.TAB)
    assert page.switch_to.active_element.text == "Skip to the papers"
    press(page, Keys.ENTER)
    assert focus(page) == "papers"
    press(page, "r")
    assert titles(page) == ["Hazel"]
    press(page, "c", "j", "j")
    assert focus(page) == "paper-2"
    press(page, "o")
    assert "An abstract on Birch." in text(page, ".paper details[open]")
    press(page, "k")
    assert focus(page) == "paper-1"
    press(page, "/", "tj")
    assert page.find_element(By.ID, "search").get_attribute("value") == "tj"
    press(page, Keys.ESCAPE, "c")

    def colour():
        return page.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")

    light = colour()
    press(page, "t")
    dark = colour()
    assert light != dark
    page.refresh()
    assert colour() == dark, "the choice is kept"
    click(page, "#theme")
    assert colour() == light
    press(page, "?")
    assert page.find_element(By.ID, "keys").is_displayed()
    page.find_element(By.ID, "keys-on").click()
    page.find_element(By.ID, "close-keys").click()
    press(page, "t")
    assert colour() == light, "shortcuts can be turned off"
    # A link to a paper that is filtered away, or further down the list, finds it.
    tick(page, "law")
    click(page, "#review a")
    assert page.switch_to.active_element.find_element(By.CSS_SELECTOR, ".title").text == "Hazel"
    assert text(page, "#count") == "68 papers"
    page.back()
    WebDriverWait(page, 10).until(lambda _: text(page, "#count") == "1 of 68 papers")
    assert page.get_log("browser") == []


def test_nothing_is_wider_than_the_window_and_scripts_may_be_off(page):
    for width in (380, 1400):
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        page.refresh()
        assert page.execute_script("return innerWidth") == width
        filters = page.find_element(By.CSS_SELECTOR, ".filters")
        assert filters.get_property("open") == (width > 900)
        page.execute_script(
            "for (const one of document.querySelectorAll('details')) one.open = true"
        )
        # Elements with their own scroll bar may be wider.
        wider = page.execute_script(
            "return [...document.querySelectorAll('body *')].filter((node) =>"
            " !node.closest('.scroll, nav, svg') &&"
            " node.getBoundingClientRect().right > innerWidth + 1"
            ").map((node) => node.outerHTML.slice(0, 80))"
        )
        assert wider == []
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.refresh()
    assert len(titles(page)) == 68
    assert not page.find_element(By.CSS_SELECTOR, ".filters").is_displayed()


def test_filters_outlive_a_reload_and_hits_are_marked(page):
    press(page, "/", "on gink", Keys.ENTER)
    assert titles(page) == ["Ginkgo"]
    assert page.switch_to.active_element.get_attribute("class") == "paper"
    choose(page, "sort", "title")
    assert page.execute_script("return CSS.highlights.get('hit').size") > 0
    page.refresh()
    assert page.find_element(By.ID, "search").get_attribute("value") == "on gink"
    assert page.find_element(By.ID, "sort").get_attribute("value") == "title"
    assert titles(page) == ["Ginkgo"]
    press(page, "c")
    tick(page, "waiting")
    waiting = titles(page)
    page.refresh()
    assert titles(page) == waiting


KEEP = """
URL.createObjectURL = (blob) => {
  blob.text().then((text) => { window.saved = text; });
  return "#";
};
"""


@pytest.mark.parametrize("form", ["bib", "ris", "csv"])
def test_the_papers_shown_are_saved_as_references(page, tmp_path, form):
    page.execute_script(KEEP)
    press(page, "/", "o", Keys.ESCAPE)
    shown, count = titles(page), int(text(page, "#count").split()[0])
    choose(page, "save", form)
    saved = WebDriverWait(page, 10).until(lambda page: page.execute_script("return window.saved"))
    file = tmp_path / f"saved.{form}"
    file.write_text(saved, encoding="utf-8")
    found = list(read_papers(file))
    # The list shows 50 papers at a time.
    assert [paper.title for paper in found][: len(shown)] == shown
    assert len(found) == count
    assert "An abstract on Birch." in {paper.abstract for paper in found}
    assert "health" in saved
