"""A real Label Studio and a real MLflow server behind a proxy that lets requests go wrong.

A day's work comes to what it would have come to, or to an error that says what to do, and the same
command given again completes it.
"""

import time

import pytest
from helpers import fault_proxy
from helpers.fault_proxy import FaultProxy, by_chance, no_faults, once
from helpers.faulty_days import TITLES, ReviewDay, VersionsDay, command

from tagger.errors import TaggerError
from tagger.registry import Registry
from tagger.review import Connection

pytestmark = pytest.mark.acceptance


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Wait for less long, in this process."""
    monkeypatch.setattr(fault_proxy, "DELAY", 0.05)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.05)))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")


def first_of_each(*plans):
    """Follow several plans at once."""
    return lambda request: next((fault for each in plans if (fault := each(request))), None)


@pytest.fixture
def studio(server):
    """A proxy before Label Studio."""
    with FaultProxy(server.url).running() as proxy:
        yield proxy


@pytest.fixture
def review_day(server, connection, studio, taxonomy, tmp_path):
    named = taxonomy.model_copy(update={"name": f"faults-{time.time_ns()}"})
    day = ReviewDay(tmp_path / "day", named, connection, studio, server.token)
    yield day
    day.clean_up()


def work_through(day, proxy, plan):
    """Work while requests go wrong, then look at the outcome."""
    proxy.use(plan)
    day.run()
    injected = proxy.injected
    proxy.use(no_faults)
    day.check()
    return injected


def test_a_day_of_review_survives_faults_of_all_kinds(review_day, studio):
    assert work_through(review_day, studio, by_chance(2, 0.25, most=12))


def test_nothing_is_made_twice_where_the_server_did_it_unheard(review_day, studio):
    made = ("/api/projects/", "/import", "/api/dm/views")
    faults = ("reset-after", "truncated", "html")
    plans = [once(fault, "POST", path) for fault, path in zip(faults, made, strict=True)]
    injected = work_through(review_day, studio, first_of_each(*plans))
    # Each was told of, and the next push found what was there.
    assert injected == dict.fromkeys(faults, 1)
    assert review_day.told == {"review push": len(made)}


def test_lists_that_are_not_whole_are_not_believed(review_day, studio):
    plan = first_of_each(
        once("empty", "GET", "/api/tasks/", place=1),
        once("doubled", "GET", "/api/tasks/", place=3),
        once("shuffled", "GET", "/api/tasks/", place=7),
        once("empty", "GET", "/export", place=1),
        once("doubled", "GET", "/export", place=2),
        once("empty", "GET", "/api/users", place=1),
        once("empty", "GET", "/api/projects/?", place=3),
    )
    injected = work_through(review_day, studio, plan)
    assert injected["empty"] >= 3
    assert injected["doubled"] == 2
    assert "are inconsistent" in str(review_day.errors)


def test_a_server_that_fails_for_good_is_told_in_a_line(review_day, studio):
    variables = review_day.variables
    review_day.review("push")
    for fault, said in {
        "reset-before": "does not answer",
        "429": "too many requests",
        "500": "error 500: went wrong",
        "502": "error 502: an HTML page, '502 Bad Gateway'",
        "html": "an HTML page",
        "truncated": "is incomplete",
        "hollow": "is not Label Studio",
    }.items():
        studio.use(lambda _, fault=fault: fault)
        for step in ("push", "pull"):
            code, output = command("review", step, *review_day.options(step), **variables)
            assert (code, said in output) == (2, True), output
            assert "\n" not in output.strip()
        # The status is that of the labels, without the tasks.
        code, output = command("review", "status", *review_day.options("status"), **variables)
        assert (code, said in output) == (0, True), output
    # An export that stays empty withdraws nothing.
    studio.use(no_faults)
    review_day.answer(TITLES[0], "study")
    review_day.review("pull")
    studio.use(once("empty", "GET", "/export", times=100))
    code, output = command("review", "pull", *review_day.options("pull"), **variables)
    assert (code, "are exported" in output) == (2, True)
    studio.use(no_faults)
    assert "0 new, 0 changed, 0 withdrawn" in review_day.review("pull")


def test_a_certificate_of_nobody_known_is_refused(server, monkeypatch, certificate):
    with FaultProxy(server.url, tls=certificate).running() as proxy:
        with pytest.raises(TaggerError, match="certificate of Label Studio is not trusted"):
            Connection(proxy.url, server.token)
        assert not proxy.exchanges
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert Connection(proxy.url, server.token).user.email == server.email


@pytest.fixture
def tracking(mlflow_server):
    """A proxy before MLflow."""
    with FaultProxy(mlflow_server.url).running() as proxy:
        yield proxy


@pytest.fixture
def versions_day(mlflow_server, tracking, label_folder, saved_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return VersionsDay(label_folder, saved_model, tracking, mlflow_server.url)


def test_a_day_of_versions_survives_faults_of_all_kinds(versions_day, tracking):
    assert work_through(versions_day, tracking, by_chance(0, 0.1, most=20))


@pytest.mark.parametrize("fault", ["reset-before", "429", "502", "truncated", "html", "hollow"])
def test_an_mlflow_that_fails_for_good_is_told_in_a_line(versions_day, tracking, fault):
    tracking.use(no_faults)
    for known in (versions_day.direct.champion, versions_day.direct.challenger):
        if not known():
            versions_day.train(0.5, 0)
    tracking.use(lambda _: fault)
    for given in ("compare", "promote"):
        code, output = command(given, MLFLOW_TRACKING_URI=tracking.url)
        assert (code, "MLflow store cannot be used" in output) == (2, True), output
        assert "\n" not in output.strip()
        assert "<html>" not in output


def test_a_certificate_of_nobody_known_is_refused_for_versions_too(mlflow_server, certificate):
    with FaultProxy(mlflow_server.url, tls=certificate).running() as proxy:
        with pytest.raises(TaggerError, match="certificate is not trusted"):
            Registry(proxy.url).champion()
        assert not proxy.exchanges
