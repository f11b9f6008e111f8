"""Two people review the same papers in real browsers, and settle what they disagree on."""

import re
from urllib.parse import urljoin

import httpx
import pytest
from helpers.samples import page, run

from tagger.labels import LabelStore

pytestmark = [pytest.mark.acceptance, pytest.mark.label_studio]

PROJECT = ("--project", "two reviewers")
KINDS = ("survey", "method", "study")
"""The tags of the exclusive facet; the keys 1, 2 and 3 choose them."""
SETTLES = "input[name='settles a disagreement']"


class Reviewer:
    """A person with an account, at a browser of their own."""

    def __init__(self, browser, form, email, password):
        """Log in or sign up: both forms have the same fields."""
        from selenium.webdriver.support.ui import WebDriverWait

        self.browser, self.email = browser, email
        self.wait = WebDriverWait(browser, 120)
        browser.get(form)
        self.all("input[name=email]")[0].send_keys(email)
        self.all("input[name=password]")[0].send_keys(password)
        self.all("input[name=password]")[0].submit()
        self.wait.until(lambda _: "/user/" not in browser.current_url)

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def click(self, selector, text=""):
        """Wait for an element with a text, and click it."""
        found = self.wait.until(lambda _: [one for one in self.all(selector) if one.text == text])
        found[0].click()

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    def submit(self):
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        keys = ActionChains(self.browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER)
        keys.key_up(Keys.CONTROL).perform()

    def chosen(self):
        """Return the chosen tag of the exclusive facet, None while there is none."""
        script = "return [...document.querySelectorAll('input:checked')].map(one => one.name)"
        return next((name for name in self.browser.execute_script(script) if name in KINDS), None)

    def offered(self):
        """Return the number of the task that is shown, and the count below it."""
        script = "return document.querySelector('.lsf-current-task__task-id')?.innerText ?? ''"
        number, _, count = self.browser.execute_script(script).partition("\n")
        return number.strip("# "), count.strip()

    def answer_all(self, project, choose):
        """Answer all tasks that are offered; return the tag that each had before, and the counts.

        ``choose`` returns the tag of a task, given its number and the tag that is filled in.
        """
        self.browser.get(project)
        self.click("button", "Label All Tasks")
        found, counts = {}, []
        done = "queue have been completed"

        def next_task(_):
            if done in self.browser.page_source:
                return done
            number = self.offered()[0]
            return number not in found and self.chosen() and number

        while (number := self.wait.until(next_task)) != done:
            found[number] = self.chosen()
            assert not self.all(SETTLES), "no disagreement is known yet"
            counts.append(self.offered()[1])
            self.choose(choose(number, found[number]))
            self.submit()
        return found, counts

    def choose(self, tag):
        if tag != self.chosen():
            self.press(str(KINDS.index(tag) + 1))
        self.wait.until(lambda _: self.chosen() == tag)

    def settle(self, address, number, tag):
        """Add an answer to a task that is opened from the tab of conflicts."""
        self.browser.get(f"{address}&task={number}")
        self.wait.until(lambda _: self.chosen())
        self.click("button[aria-label='Create an annotation']")
        self.wait.until(lambda _: not self.chosen())
        self.choose(tag)
        self.press("x")
        self.wait.until(lambda _: self.all(f"{SETTLES}:checked"))
        self.submit()
        self.wait.until(lambda _: self.all("[data-testid='bottombar-update-button']"))


def test_two_reviewers_find_and_settle_three_conflicts(
    server, connection, browsers, saved_model, label_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("LABEL_STUDIO_URL", server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", server.token)
    (tmp_path / "page.txt").write_text(page(*(f"Paper {n}" for n in range(6))), encoding="utf-8")
    options = ("--model", saved_model, "--audit-share", 0, "--overlap", 2, *PROJECT)
    pushed = run("review", "push", "page.txt", *options, cwd=tmp_path)
    assert pushed.returncode == 0, pushed.stderr
    address = re.search(r"http\S+", pushed.stdout)[0]
    doubted = []

    def doubt_three(number, tag):
        if len(doubted) < 3:
            doubted.append(number)
            return KINDS[KINDS.index(tag) - 1]
        return tag

    first = Reviewer(browsers(), f"{server.url}/user/login/", server.email, server.password)
    suggested, counts = first.answer_all(address, doubt_three)
    assert counts == [f"{n} of 6" for n in range(1, 7)]

    token = {"Authorization": f"Token {server.token}"}
    invited = httpx.get(f"{server.url}/api/invite", headers=token).json()["invite_url"]
    second = Reviewer(browsers(), urljoin(server.url, invited), "other@here.org", "a long one")
    # What the first has answered is neither kept from the second, nor shown.
    assert second.answer_all(address, lambda number, tag: tag)[0] == suggested

    pulled = run("review", "pull", *PROJECT, cwd=tmp_path)
    assert (pulled.returncode, pulled.stdout.count("CONFLICT")) == (1, 3), pulled.stderr
    [tab] = [
        view.id
        for view in connection.client.views.list(project=int(address.split("/")[4]))
        if view.data["title"] == "conflicts"
    ]
    listed = connection.client.tasks.list(view=tab)
    assert {str(task.id) for task in listed} == {*doubted}
    for number in doubted[:2]:
        second.settle(f"{address}?tab={tab}", number, suggested[number])
    half = run("review", "pull", *PROJECT, cwd=tmp_path)
    assert (half.returncode, half.stdout.count("CONFLICT")) == (1, 1), half.stdout
    second.settle(f"{address}?tab={tab}", doubted[2], suggested[doubted[2]])
    settled = run("review", "pull", *PROJECT, cwd=tmp_path)
    assert settled.returncode == 0, settled.stdout
    winners = re.findall(r"kind: .*\(counts: (\w+), by other@here.org\)", settled.stdout)
    assert sorted(winners) == sorted(suggested[number] for number in doubted)
    assert sum(label.final for label in LabelStore(label_folder).labels()) == 3
