import ssl

import httpx
import pytest

from tagger.review import retrying
from tagger.review.retrying import RetryingClient


class Server:
    """Fails as told, then answers; remembers what it was asked and how long was waited."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.asked = []

    def __call__(self, request):
        self.asked.append(request.read())
        if not self.failures:
            return httpx.Response(200, json={})
        failure = self.failures.pop(0)
        if isinstance(failure, Exception):
            raise failure
        status, headers = failure if isinstance(failure, tuple) else (failure, {})
        return httpx.Response(status, headers=headers)

    def client(self):
        return RetryingClient(transport=httpx.MockTransport(self), base_url="http://somewhere")


@pytest.fixture
def waits(monkeypatch):
    waited = []
    monkeypatch.setattr(retrying.time, "sleep", waited.append)
    return waited


NOT_SENT = httpx.ConnectError("refused")
BROKEN = httpx.ReadError("reset")
CUT = httpx.RemoteProtocolError("cut short")


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("failure", [NOT_SENT, BROKEN, CUT, 429, 500, 502, 503, 504])
def test_what_may_be_done_twice_is_asked_again(waits, method, failure):
    server = Server(failure, failure)
    assert server.client().request(method, "/x", json={"a": 1}).status_code == 200
    assert server.asked == [b'{"a":1}'] * 3
    assert waits[0] == 0 < waits[1]


@pytest.mark.parametrize(
    ("failure", "times"),
    [(NOT_SENT, 2), (429, 2), (503, 2), (BROKEN, 1), (CUT, 1), (500, 1), (502, 1), (504, 1)],
)
def test_what_is_made_anew_is_asked_again_only_if_it_was_not_done(waits, failure, times):
    server = Server(failure)
    try:
        status = server.client().post("/api/projects/", json={}).status_code
    except httpx.TransportError:
        status = None
    assert len(server.asked) == times
    assert (status == 200) == (times == 2)


@pytest.mark.parametrize("path", ["/api/dm/actions/", "/ls/api/dm/actions/", "/api/token/refresh/"])
def test_deleting_and_exchanging_a_token_may_be_done_twice(waits, path):
    server = Server(BROKEN, 502)
    assert server.client().post(path).status_code == 200


def test_it_gives_up(waits):
    server = Server(*[BROKEN] * 9)
    with pytest.raises(httpx.ReadError, match="reset"):
        server.client().get("/x")
    assert len(server.asked) == 4
    server = Server(*[502] * 9)
    assert server.client().get("/x").status_code == 502
    assert len(server.asked) == 4
    assert sum(waits) < 20


def test_it_waits_as_long_as_it_is_asked_to_but_not_for_an_hour(waits):
    assert Server((429, {"Retry-After": "7"})).client().get("/x").status_code == 200
    assert waits == [7]
    assert Server((429, {"Retry-After": "3600"})).client().get("/x").status_code == 429
    assert Server((503, {"Retry-After": "soon"})).client().get("/x").status_code == 200
    assert waits == [7, 0]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_taken_for_an_answer(waits, status):
    server = Server(status)
    assert server.client().get("/x").status_code == status
    assert (len(server.asked), waits) == (1, [])


def test_waiting_too_long_or_a_wrong_certificate_is_told_at_once(waits):
    refused = httpx.ConnectError("certificate verify failed")
    refused.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    for failure in (httpx.ReadTimeout("slow"), refused):
        server = Server(failure)
        with pytest.raises(type(failure)):
            server.client().get("/x")
        assert (len(server.asked), waits) == (1, [])


def test_an_answer_that_breaks_off_is_asked_for_again(waits):
    class Broken(httpx.SyncByteStream):
        def __iter__(self):
            yield b"[1,"
            raise CUT

    answers = [httpx.Response(200, stream=Broken()), httpx.Response(200, json=[1, 2])]
    transport = httpx.MockTransport(lambda _: answers.pop(0))
    client = RetryingClient(transport=transport, base_url="http://somewhere")
    with client.stream("GET", "/export") as answer:
        assert b"".join(answer.iter_bytes(2)) == b"[1,2]"
