import http.server
import sys
import threading
from types import ModuleType

import pytest
from fake_label_studio import FakeLabelStudio

from tagger._util.web import find_token, make_client
from tagger.errors import TaggerError
from tagger.review import Connection, connect, open_project

KEY = "0" * 40


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Retry without waiting; return the waiting times."""
    waited = []
    monkeypatch.setattr("httpx_retries.retry.time.sleep", waited.append)
    return waited


@pytest.fixture
def stranger():
    """A server that is not Label Studio; tests set its answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        content, failures, pause, asked = b"", [], None, 0

        def answer(self):
            own = type(self)
            own.asked += 1
            self.send_response(own.failures.pop(0) if own.failures else 200)
            if own.pause:
                self.send_header("Retry-After", own.pause)
            self.end_headers()
            self.wfile.write(own.content)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", Handler
        server.shutdown()


@pytest.mark.parametrize("content", [b"<html>hello</html>", b"{}", b"[]", b"null", b"3", b"\xff"])
@pytest.mark.parametrize("key", [KEY, "e30.e30.x"])
def test_a_server_of_another_kind_is_recognized(stranger, content, key):
    url, handler = stranger
    handler.content = content
    with pytest.raises(TaggerError) as caught:
        Connection(url, key)
    assert "\n" not in str(caught.value)


def test_another_program_is_not_called_label_studio(stranger):
    url, handler = stranger
    handler.failures = [404] * 9
    with pytest.raises(TaggerError, match="found no Label Studio at this address"):
        Connection(url, KEY)


@pytest.mark.parametrize("name", [None, "Spring", "99"])
def test_of_a_project_that_is_gone_the_pulled_answers_are_said_to_be_safe(taxonomy, name):
    with FakeLabelStudio().running() as server:
        connection = Connection(server.url, KEY)
        with pytest.raises(TaggerError, match="label folder"):
            open_project(connection, taxonomy, name)


def test_a_project_that_was_renamed_is_found_again(taxonomy):
    with FakeLabelStudio().running() as server:
        connection = Connection(server.url, KEY)
        first = open_project(connection, taxonomy, None, create=True)
        open_project(connection, taxonomy, "Spring", create=True)
        connection.client.projects.update(first.id, title="Winter")
        again = open_project(connection, taxonomy, None, create=True)
        assert (again.id, again.title) == (first.id, "Winter")


@pytest.mark.parametrize(("written", "is_found"), [("", True), ("Ours", False)])
def test_a_project_without_a_description_gets_one_that_finds_it_again(taxonomy, written, is_found):
    with FakeLabelStudio().running() as server:
        connection = Connection(server.url, KEY)
        first = open_project(connection, taxonomy, None, create=True)
        connection.client.projects.update(first.id, description=written)
        open_project(connection, taxonomy, None)
        assert connection.client.projects.get(first.id).description == written
        open_project(connection, taxonomy, None, create=True)
        connection.client.projects.update(first.id, title="Winter")
        assert (open_project(connection, taxonomy, None, create=True).id == first.id) is is_found


@pytest.mark.parametrize(
    "url", ["http://[::1", "nowhere", "ftp://x", "http://127.0.0.1:1", "", "http://127.0.0.1:99999"]
)
def test_an_unreachable_address_is_an_error(url):
    with pytest.raises(TaggerError):
        Connection(url, KEY)


def test_a_server_without_encryption_is_not_said_to_have_a_bad_certificate(stranger):
    url, _ = stranger
    with pytest.raises(TaggerError, match="does not answer"):
        Connection(url.replace("http:", "https:"), KEY)


REPEATED = [("GET", status) for status in (429, 500, 502, 503, 504)]
REPEATED += [("PATCH", 502), ("DELETE", 502)]


@pytest.mark.parametrize(("method", "status"), [*REPEATED, ("POST", 502), ("GET", 404)])
def test_idempotent_requests_are_retried(stranger, method, status):
    url, handler = stranger
    handler.failures = [status, status]
    answer = make_client(url).request(method, url)
    again = (method, status) in REPEATED
    assert (answer.status_code, handler.asked) == ((200, 3) if again else (status, 1))


def test_retries_are_limited_and_follow_retry_after(stranger, impatient):
    url, handler = stranger
    handler.failures, handler.pause = [503] * 9, "7"
    assert make_client(url).get(url).status_code == 503
    assert handler.asked == 4
    assert impatient == [7, 7, 7]


@pytest.mark.parametrize("key", ["abc\u00e9", "ab\x00c", "a\nb"])
def test_a_damaged_key_is_not_quoted(key):
    with pytest.raises(TaggerError, match="characters") as caught:
        Connection("http://127.0.0.1:1", key)
    assert key not in str(caught.value)


def test_errors_hide_passwords_in_addresses_and_spaces_are_stripped():
    with pytest.raises(TaggerError, match="does not answer") as caught:
        Connection(" http://me:planted-marker@127.0.0.1:1/ ", KEY + "\r\n")
    assert "planted-marker" not in str(caught.value)
    assert caught.value.path == "http://127.0.0.1:1"


@pytest.fixture
def variables(monkeypatch):
    """Set the variables for server and token; the others are unset."""
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "LABEL_STUDIO_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)

    def use(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"LABEL_STUDIO_{name}", str(value))

    return use


@pytest.mark.parametrize(
    ("given", "missing"), [("API_KEY", "URL"), ("API_KEY_FILE", "URL"), ("URL", "API_KEY")]
)
def test_address_and_token_go_together(variables, tmp_path, monkeypatch, given, missing):
    monkeypatch.setitem(sys.modules, "keyring", None)
    variables(**{given: "http://127.0.0.1:1"})
    with pytest.raises(TaggerError, match=f"LABEL_STUDIO_{missing} is not set"):
        connect(tmp_path)


def test_a_token_comes_from_the_environment_a_file_or_the_keyring(variables, tmp_path, monkeypatch):
    keyring, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})
    errors.NoKeyringError = type("NoKeyringError", (errors.KeyringError,), {})
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)

    def locked(*_):
        raise errors.KeyringError("it is locked")

    keyring.get_password = locked
    with pytest.raises(TaggerError, match="it is locked"):
        find_token("LABEL_STUDIO_API_KEY", "http://x")
    keyring.get_password = lambda service, url: f"{service} {url}"
    assert find_token("LABEL_STUDIO_API_KEY", "http://x") == "tagger http://x"
    path = tmp_path / "token"
    path.write_text("of the file\n", encoding="utf-8")
    path.chmod(0o600)
    variables(API_KEY_FILE=path)
    assert find_token("LABEL_STUDIO_API_KEY", "http://x") == "of the file"
    variables(API_KEY="of the environment")
    assert find_token("LABEL_STUDIO_API_KEY", "http://x") == "of the environment"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_token_file_that_other_users_can_access_is_refused(variables, tmp_path, mode):
    path = tmp_path / "token"
    path.write_text("planted-marker", encoding="utf-8")
    path.chmod(mode)
    variables(API_KEY_FILE=path)
    with pytest.raises(TaggerError, match="other users") as caught:
        find_token("LABEL_STUDIO_API_KEY", "http://x")
    assert "planted-marker" not in str(caught.value)
    variables(API_KEY_FILE=tmp_path / "nowhere")
    with pytest.raises(TaggerError, match="cannot be read"):
        find_token("LABEL_STUDIO_API_KEY", "http://x")
