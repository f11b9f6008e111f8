"""The page of a review on this machine: as a web application, and in a real browser."""

import re
import time
from functools import partial

import pytest
from fastapi.testclient import TestClient
from helpers.review_desk import open_desk, reviews, served
from helpers.samples import write_taxonomy
from helpers.tiny_model import save_tiny_model

from tagger.labels import LabelStore, apply_change
from tagger.model import load_model
from tagger.papers import Paper
from tagger.review import make_review_page
from tagger.review.desk import Answer
from tagger.taxonomy import add_tag

TOKEN = "a-token"


@pytest.fixture
def desk(model, papers, label_folder):
    return open_desk(model, papers, label_folder, budget=4, audit_share=0.25)


@pytest.fixture
def measured():
    return []


@pytest.fixture
def app(desk, model, measured):
    def estimate():
        measured.append(len(desk.audited))
        return [f"{measured[-1]} audit papers"]

    return make_review_page(desk, model, model.rule(), TOKEN, estimate)


@pytest.fixture
def client(app):
    with TestClient(app, "http://127.0.0.1", headers={"x-token": TOKEN}) as client:
        yield client


def answer(client, number, **changes):
    body = {"number": number, "tags": {"kind": ["study"], "field": []}, "seconds": 1.0, **changes}
    return client.post("/answer", json=body)


def test_nothing_is_served_without_the_token_or_under_another_name(client):
    client.headers.pop("x-token")
    for path in ("/", "/paper", "/evidence?number=1", "/estimate", "/?token=another"):
        assert client.get(path).status_code == 403
    assert client.post("/undo").status_code == 403
    page = client.get("/", params={"token": TOKEN})
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    # Nothing is loaded from elsewhere.
    assert not re.search(r"(src|href)=\"?(https?:)?//", page.text)
    named = client.get("/paper", headers={"x-token": TOKEN, "host": "attacker.example"})
    assert named.status_code == 400


def test_a_paper_comes_filled_in_and_a_blind_one_does_not(client, desk):
    for number, chosen in desk.papers.items():
        view = client.get("/paper").json()
        assert (view["number"], view["done"], view["total"]) == (number, number - 1, 4)
        checked = re.findall(r'value="([\w-]+)"[^>]* checked>', view["html"])
        given = [tag for tags in chosen.decision.tags.values() for tag in tags]
        assert sorted(checked) == (sorted(given) if chosen.shown else [])
        assert ("<output>" in view["html"]) is chosen.shown
        assert (chosen.queue in view["html"].lower()) is chosen.shown
        evidence = client.get(f"/evidence?number={number}").json()
        assert bool(evidence) is chosen.shown
        after = answer(client, number).json()
        assert after["number"] == view["next"]["number"]
        assert after["html"] == view["next"]["html"]
    assert (after["number"], after["done"], after["html"]) == (None, 4, "")


def test_the_end_does_not_wait_until_a_very_long_abstract_is_explained(model, label_folder):
    long = Paper("On the heart", "A heart in a trial. " * 5_000)
    desk = open_desk(model, [long], label_folder, budget=1, audit_share=0)
    page = make_review_page(desk, model, model.rule(), TOKEN, list)
    calls = model.encoder.calls
    with TestClient(page, "http://127.0.0.1", headers={"x-token": TOKEN}) as client:
        assert client.get("/evidence?number=1").json() == {}
    assert model.encoder.calls == calls


def test_undo_brings_the_answer_back_and_skip_puts_a_paper_last(client, label_folder):
    answer(client, 1, tags={}, verdict="not a paper", note="An <b>advertisement</b>")
    back = client.post("/undo").json()
    assert (back["number"], back["done"]) == (1, 0)
    assert re.search(r'value="not a paper"[^>]* checked>', back["html"])
    assert "An &lt;b&gt;advertisement" in back["html"]
    assert client.post("/skip", json={"number": 1}).json()["number"] == 2
    for number in (2, 3, 4):
        view = answer(client, number).json()
    assert view["number"] == 1
    assert reviews(label_folder)[0].outcome == "not-a-paper"


def test_what_is_wrong_is_said_and_not_saved(client, label_folder):
    assert answer(client, 1, tags={"kind": ["poem"]}).status_code == 422
    assert answer(client, 99).status_code == 404
    assert answer(client, 1, verdict="maybe").status_code == 422
    assert not reviews(label_folder)


def test_an_answer_without_a_tag_that_came_meanwhile_is_not_saved(client, desk, label_folder):
    assert answer(client, 1).status_code == 200
    lungs = partial(add_tag, facet="field", tag="lungs", definition="Lungs.", queue=True)
    apply_change(LabelStore(label_folder), lungs)
    refused = answer(client, 2)
    assert (refused.status_code, "review here" in refused.json()["detail"]) == (422, True)
    assert desk.upcoming(1) == [2]
    assert len(reviews(label_folder)) == desk.done == 1
    assert client.post("/undo").json()["number"] == 1


@pytest.mark.parametrize("field", ['"seconds": NaN', '"seconds": 1, "note": "\\ud800"'])
def test_a_request_that_cannot_be_quoted_is_refused(client, field):
    body = f'{{"number": 1, "tags": {{}}, {field}}}'
    refused = client.post("/answer", content=body, headers={"Content-Type": "application/json"})
    assert (refused.status_code, type(refused.json()["detail"])) == (422, str)


def test_an_audit_answer_that_is_given_anew_renews_the_estimate(client, desk, measured):
    number = next(number for number, chosen in desk.papers.items() if chosen.queue == "audit")
    for kind in ("study", "survey"):
        answer(client, number, tags={"kind": [kind], "field": []})
        client.get("/estimate")
        client.post("/undo")
    assert measured == [1, 1]


def test_the_estimate_is_renewed_with_the_audit_sample(client, desk, measured):
    for number in desk.papers:
        client.get("/estimate")
        answer(client, number)
    assert client.get("/estimate").json() == ["1 audit papers"]
    assert measured == [0, 1]


def test_markup_in_a_paper_is_shown_as_text(model, label_folder):
    paper = Paper("<img src=x> on the heart", "We look at <b>it</b>. \ud800 is a heart.")
    desk = open_desk(model, [paper], label_folder, budget=1, audit_share=0)
    app = make_review_page(desk, model, model.rule(), TOKEN, list)
    with TestClient(app, "http://127.0.0.1", headers={"x-token": TOKEN}) as client:
        html = client.get("/paper").json()["html"]
    assert "&lt;img src=x&gt;" in html
    assert "<b>" not in html


def wait(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_person_reviews_with_single_keys(app, desk, browser, label_folder):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys):
        ActionChains(browser).send_keys(*keys).perform()

    def saved(count):
        wait(lambda: len(reviews(label_folder)) == count)
        return reviews(label_folder)[-1]

    first = next(number for number, chosen in desk.papers.items() if chosen.shown)
    assert first == 1
    [kind] = desk.papers[1].decision.tags["kind"]
    key = next(
        key for key, tag in zip("123", ("survey", "method", "study"), strict=True) if tag != kind
    )
    with served(app) as address:
        browser.get(f"{address}/?token={TOKEN}")
        wait(lambda: browser.execute_script("return view.number") == 1)
        wait(lambda: browser.execute_script("return view.evidence !== null"))
        press(Keys.ENTER)
        assert saved(1).tags["kind"] == (kind,)
        press(Keys.BACKSPACE)
        assert saved(2).outcome == "withdrawn"
        wait(lambda: browser.execute_script("return view.number") == 1)
        # Another tag, and a note from which Ctrl+Enter saves.
        press(key, "/", "1 heart")
        browser.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
        label = saved(3)
        assert (label.tags["kind"] == (kind,), label.note) == (False, "1 heart")
        wait(lambda: browser.execute_script("return view.number") == 2)
    # Without a server no answer is lost: it comes back to the screen.
    press("c", Keys.ENTER)
    wait(lambda: "Not saved" in browser.find_element("id", "message").text)
    assert browser.execute_script("return view.number") == 2
    assert browser.find_element("css selector", "[value='cannot tell']").is_selected()
    assert len(reviews(label_folder)) == 3


def test_facets_may_be_named_like_parts_of_the_page(taxonomy, browser, papers, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    names = zip(taxonomy.facets, ("verdict", "contains"), strict=True)
    facets = [facet.model_copy(update={"name": name}) for facet, name in names]
    named = taxonomy.model_copy(update={"facets": tuple(facets)})
    write_taxonomy(tmp_path, named)
    model = load_model(save_tiny_model(tmp_path / "model", named))
    desk = open_desk(model, papers[:1], tmp_path, budget=1, audit_share=0)
    with served(make_review_page(desk, model, model.rule(), TOKEN, list)) as address:
        browser.get(f"{address}/?token={TOKEN}")
        wait(lambda: browser.execute_script("return view.number") == 1)
        browser.find_element("css selector", "[name=verdict]:not(:checked)").click()
        ActionChains(browser).send_keys(Keys.ENTER).perform()
        wait(lambda: reviews(tmp_path))
    [label] = reviews(tmp_path)
    assert label.outcome == "tagged"
    assert {*label.tags} == {"verdict", "contains"}
    assert label.note is None


def test_a_last_answer_that_is_not_saved_comes_back(desk, model, browser, label_folder):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    while len(desk.upcoming(2)) > 1:
        desk.answer(Answer(number=desk.upcoming(1)[0], tags={"field": ()}, seconds=1))
    with served(make_review_page(desk, model, model.rule(), TOKEN, list)) as address:
        browser.get(f"{address}/?token={TOKEN}")
        wait(lambda: browser.execute_script("return view.number") == 4)
    ActionChains(browser).send_keys("c", Keys.ENTER).perform()
    wait(lambda: "Not saved" in browser.find_element("id", "message").text)
    assert not browser.find_element("id", "finished").is_displayed()
    assert browser.find_element("id", "save").is_enabled()
    assert len(reviews(label_folder)) == 3
