"""The round trip against a real Label Studio server, and once through a real browser."""

import copy
import socket
import threading
from dataclasses import replace

import httpx
import pytest
import yaml
from helpers.ports import free_port
from helpers.samples import write_taxonomy

from tagger.cli.backend import make_server
from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.papers import Paper
from tagger.review import (
    Connection,
    Credentials,
    PushSettings,
    Recheck,
    connect_backend,
    disconnect_backend,
    make_backend,
    open_project,
    pull_labels,
    push_papers,
    push_rechecks,
)
from tagger.review.strategies.uncertainty import Uncertainty

pytestmark = pytest.mark.label_studio

ALL = PushSettings(10_000, Uncertainty(), audit_share=0.0)


def renamed(taxonomy, name):
    return taxonomy.model_copy(update={"name": name})


class Desk:
    """One test's project, label folder and model, on the shared server."""

    def __init__(self, connection, taxonomy, model, folder):
        self.connection = connection
        self.folder = folder
        self.model = self.model_of(model, taxonomy, "tagger/1")
        self.use(taxonomy)

    @staticmethod
    def model_of(model, taxonomy, name):
        own = copy.copy(model)
        own.taxonomy, own.name = taxonomy, name
        return own

    def use(self, taxonomy):
        self.taxonomy = taxonomy
        write_taxonomy(self.folder, taxonomy)
        self.store = LabelStore(self.folder)
        self.project = open_project(self.connection, taxonomy, None, create=True)

    @property
    def client(self):
        return self.connection.client

    def push(self, papers, settings=ALL, model=None, **options):
        labels = self.store.all_labels()
        return push_papers(papers, model or self.model, labels, self.project, settings, **options)

    def pull(self, rule="latest"):
        return pull_labels(self.project, self.store, rule)

    def tasks(self):
        return {task.paper.id: task for task in self.project.tasks()[0]}

    def annotate(self, paper, author=None, **tags):
        result = []
        for facet, values in tags.items():
            kind = "taxonomy" if facet == "field" else "choices"
            entry = {"from_name": facet, "to_name": "Paper", "type": kind}
            result.append({**entry, "value": {kind: values}})
        task = self.tasks()[paper.id].id
        author = author or self.connection.user.id
        return self.client.annotations.create(
            task, result=result, lead_time=2.0, completed_by=author
        )


@pytest.fixture
def desk(connection, taxonomy, model, label_folder, request):
    name = f"t{abs(hash(request.node.name)) % 10**8}"
    desk = Desk(connection, renamed(taxonomy, name), model, label_folder)
    yield desk
    desk.client.projects.delete(desk.project.id)


@pytest.fixture
def few(papers):
    return papers[:12]


def test_papers_arrive_filled_in_and_sorted(desk, few):
    report = desk.push(few)
    assert (report.new, report.waiting) == (12, 12)
    tasks = [*desk.client.tasks.list(project=desk.project.id)]
    assert {task.data["title"] for task in tasks} == {paper.title for paper in few}
    for task in tasks:
        [prediction] = task.predictions
        assert prediction.model_version == "tagger/1"
        kinds = [r["value"]["choices"] for r in prediction.result if r["from_name"] == "kind"]
        assert kinds == [list(task.meta["tags"]["kind"])]
    scores = {task.id: task.predictions[0].score for task in tasks}
    tabs = {view.data["title"]: view for view in desk.client.views.list(project=desk.project.id)}
    assert list(tabs) == ["all papers", "confused", "unfamiliar", "recheck"]
    shown = [task.id for task in desk.client.tasks.list(view=tabs["all papers"].id)]
    assert [scores[task] for task in shown] == sorted(scores.values())
    assert sum(report.queues.values()) == 12
    for queue in ("confused", "unfamiliar"):
        listed = [task.data["queue"] for task in desk.client.tasks.list(view=tabs[queue].id)]
        assert listed == [queue] * report.queues.get(queue, 0)


def test_corrections_come_home_once(desk, few):
    desk.push(few)
    first, second, third, fourth = few[:4]
    one = desk.annotate(first, kind=["study"], field=[["health", "heart"]])
    two = desk.annotate(second, kind=["survey"])
    desk.annotate(third, Verdict=["not a paper"])
    task = desk.tasks()[fourth.id].id
    desk.client.annotations.create(task, result=[], was_cancelled=True)
    report = desk.pull()
    assert (report.new, report.skipped, report.problems) == (3, 1, [])
    labels = {label.id: label for label in desk.store.all_labels() if label.source == "review"}
    assert labels[first.id].tags == {"kind": ("study",), "field": ("health", "heart")}
    assert labels[second.id].tags == {"kind": ("survey",), "field": ()}
    assert labels[third.id].outcome == "not-a-paper"
    label = labels[first.id]
    assert (label.annotator, label.origin.lead_time) == (desk.connection.user.email, 2.0)
    assert label.prediction.model == "tagger/1"

    corrections = desk.folder / "corrections.jsonl"
    edited = corrections.read_text(encoding="utf-8").replace('"study"', '"method"')
    corrections.write_text(edited, encoding="utf-8")
    again = desk.pull()
    assert (again.new, again.changed, again.withdrawn) == (0, 0, 0)
    assert corrections.read_text(encoding="utf-8") == edited

    kind = {"from_name": "kind", "to_name": "Paper", "type": "choices"}
    desk.client.annotations.update(two.id, result=[{**kind, "value": {"choices": ["method"]}}])
    desk.client.annotations.delete(one.id)
    third_pull = desk.pull()
    assert (third_pull.new, third_pull.changed, third_pull.withdrawn) == (0, 1, 1)
    merged = {label.id: label for label in desk.store.labels()}
    assert first.id not in merged
    assert merged[second.id].tags["kind"] == ("method",)
    assert desk.pull() == replace(again, skipped=1)
    desk.client.tasks.delete(str(desk.tasks()[second.id].id))
    assert desk.pull().withdrawn == 0
    report = desk.push(few)
    assert (report.new, report.waiting) == (0, 9)
    assert not desk.tasks()[first.id].touched


def test_a_new_model_refreshes_what_nobody_has_touched(desk, few, server):
    desk.push(few)
    answered, begun = few[:2]
    desk.annotate(answered, kind=["study"])
    draft = httpx.post(
        f"{server.url}/api/tasks/{desk.tasks()[begun.id].id}/drafts",
        json={"result": [], "lead_time": 1.0},
        headers={"Authorization": f"Token {server.token}"},
    )
    assert draft.status_code == 201
    assert desk.tasks()[begun.id].touched
    newer = Desk.model_of(desk.model, desk.taxonomy, "tagger/2")
    report = desk.push(few, model=newer)
    assert (report.new, report.refreshed) == (0, 10)
    for task in desk.client.tasks.list(project=desk.project.id):
        touched = task.data["paper"] in (answered.id, begun.id)
        expected = "tagger/1" if touched else "tagger/2"
        assert [p.model_version for p in task.predictions] == [expected]
        assert task.meta["model"] == expected
    assert desk.push(few, model=newer).refreshed == 0


@pytest.mark.acceptance
def test_a_model_of_which_no_prediction_is_shown_may_push(desk, few):
    report = desk.push(few, replace(ALL, blind_share=1.0))
    assert report.new == 12
    assert {task.data["queue"] for task in desk.tasks().values()} == {"blind"}
    second, third = (
        Desk.model_of(desk.model, desk.taxonomy, name) for name in ("tagger/2", "tagger/3")
    )
    assert desk.push(few, model=second).refreshed == 12
    for paper in few:
        desk.annotate(paper, kind=["study"])
    report = desk.push(few, model=third)
    assert (report.new, report.refreshed, report.waiting) == (0, 0, 0)
    assert push_rechecks({few[0]: Recheck("Recheck.", ("kind",))}, third, desk.project).new == 1


@pytest.mark.acceptance
def test_a_facet_that_takes_another_form_needs_a_new_project(desk, few):
    desk.push(few)
    desk.annotate(few[0], field=[["law"]])
    flat = yaml.safe_load(desk.taxonomy.model_dump_json())
    for tag in flat["facets"][1]["tags"]:
        tag["parent"] = None
    desk.use(type(desk.taxonomy).model_validate(flat))
    with pytest.raises(TaggerError, match="answers that do not fit the changed taxonomy"):
        desk.project.fit_interface(desk.taxonomy)
    assert desk.pull().new == 1


def test_a_change_of_taxonomy_loses_no_annotation(desk, few):
    desk.push(few)
    mine = desk.annotate(few[0], kind=["study"], field=[["law"]])
    (desk.folder / "seed.jsonl").unlink()
    changed = yaml.safe_load(desk.taxonomy.model_dump_json())
    kind, field = changed["facets"]
    kind["tags"][1:] = [{"name": name, "definition": "New."} for name in ("benchmark", "essay")]
    changed["facets"] = [kind, {"name": "size", "definition": "Size.", "tags": [field["tags"][0]]}]
    desk.use(type(desk.taxonomy).model_validate(changed))
    changes = desk.project.fit_interface(desk.taxonomy)
    assert any("+benchmark" in change and "study kept" in change for change in changes)
    assert any("'field' kept" in change for change in changes)
    assert "-method" in str(changes)
    kept = desk.client.annotations.get(mine.id)
    values = [entry["value"] for entry in kept.result]
    assert values == [{"choices": ["study"]}, {"taxonomy": [["law"]]}]
    report = desk.pull()
    [problem] = report.problems
    assert problem.startswith(f"task {kept.task} ")
    assert "'study'" in problem
    assert (report.new, report.withdrawn) == (0, 0)
    assert desk.project.fit_interface(desk.taxonomy) == []


@pytest.mark.acceptance
def test_the_wrong_project_is_named(desk, connection):
    other = connection.client.projects.create(
        title="somebody else's",
        label_config='<View><Text name="t" value="$t"/><Choices name="c" toName="t">'
        '<Choice value="x"/></Choices></View>',
    )
    try:
        for name, said in {
            str(other.id): "not a review project of the taxonomy",
            other.title: "not a review project",
            "99999": "has no project 99999",
            "nowhere": "there is no project 'nowhere'",
        }.items():
            with pytest.raises(TaggerError, match=said):
                open_project(connection, desk.taxonomy, name)
    finally:
        connection.client.projects.delete(other.id)
    assert open_project(connection, desk.taxonomy, str(desk.project.id)).id == desk.project.id


def test_both_kinds_of_token_open_the_door_and_a_revoked_one_does_not(server, connection):
    personal = connection.client.tokens.create()
    assert Connection(server.url, personal.token).user.email == server.email
    connection.client.tokens.blacklist(refresh=personal.token)
    for key in (personal.token, "0" * 40):
        with pytest.raises(TaggerError, match="refuses the token"):
            Connection(server.url, key)
    with pytest.raises(TaggerError, match="does not answer"):
        Connection(f"http://127.0.0.1:{free_port()}", server.token)


@pytest.mark.acceptance
def test_five_thousand_papers_are_paged_through(desk):
    papers = [Paper(f"Paper {n}", f"On heart and court, case {n}.") for n in range(5000)]
    report = desk.push(papers)
    assert (report.new, report.waiting) == (5000, 5000)
    assert len(desk.tasks()) == 5000
    again = desk.push(papers)
    assert (again.new, again.duplicates_removed, again.waiting) == (0, 0, 5000)


def test_a_backend_is_connected_once_and_disconnected_by_its_own_password(desk):
    credentials, other = Credentials(), Credentials()
    app = make_backend(lambda: desk.model, credentials, lambda: None)
    backend = make_server(app)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=backend.run, args=([listener],), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def connected():
        hooks = desk.client.webhooks.list(project=str(desk.project.id))
        return len(desk.client.ml.list(project=desk.project.id)), len(hooks)

    try:
        connect_backend(desk.project, url, credentials)
        connect_backend(desk.project, url, credentials)
        assert connected() == (1, 1)
        disconnect_backend(desk.project, other)
        assert connected() == (1, 1)
        disconnect_backend(desk.project, credentials)
        assert connected() == (0, 0)
    finally:
        backend.should_exit = True
        thread.join(30)


def test_in_a_browser(desk, few, server, browser):
    """Open a task, see the tag that is filled in, change it, write a note, submit, pull."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    desk.push(few)
    task = desk.tasks()[few[0].id]
    suggested = task.meta.tags["kind"][0]
    other = next(tag for tag in ("survey", "method", "study") if tag != suggested)
    browser.get(f"{server.url}/user/login/")
    browser.find_element(By.NAME, "email").send_keys(server.email)
    browser.find_element(By.NAME, "password").send_keys(server.password)
    browser.find_element(By.NAME, "password").submit()
    wait = WebDriverWait(browser, 60)
    wait.until(lambda b: "login" not in b.current_url)
    browser.get(f"{desk.project.url}?task={task.id}")

    def box(tag):
        return browser.find_element(By.CSS_SELECTOR, f"input[type=checkbox][name='{tag}']")

    wait.until(lambda b: few[0].title in b.page_source)
    wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, f"input[name='{suggested}']"))
    wait.until(lambda _: box(suggested).is_selected())
    browser.execute_script("arguments[0].click()", box(other))
    wait.until(lambda _: box(other).is_selected() and not box(suggested).is_selected())
    browser.find_element(By.CSS_SELECTOR, "[data-testid='textarea-input']").send_keys("Unsure.")
    # In the note, Enter gives the keys back; elsewhere Ctrl+Enter submits.
    keys = ActionChains(browser).send_keys(Keys.ENTER).key_down(Keys.CONTROL)
    keys.send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    wait.until(lambda _: desk.tasks()[few[0].id].done)
    assert desk.pull().new == 1
    [label] = [label for label in desk.store.all_labels() if label.source == "review"]
    assert (label.id, label.tags["kind"]) == (few[0].id, (other,))
    assert label.prediction.tags["kind"] == (suggested,)
    assert label.note == "Unsure."
    assert label.origin.lead_time > 0
