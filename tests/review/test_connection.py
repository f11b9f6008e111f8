import http.server
import sys
import threading
from types import ModuleType

import pytest
from helpers.ports import free_port

from tagger.errors import TaggerError
from tagger.review import retrying
from tagger.review.connection import Connection, connect
from tagger.review.token import find_token


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Ask again at once."""
    monkeypatch.setattr(retrying.time, "sleep", lambda _: None)


@pytest.fixture
def stranger():
    """A server that is no Label Studio; tests set what it answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        content = b""

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(type(self).content)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", free_port()), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("content", [b"<html>hello</html>", b"{}", b"[]", b"null", b"3", b"\xff"])
@pytest.mark.parametrize("key", ["0" * 40, "e30.e30.x"])
def test_a_server_of_another_kind_is_told_apart(stranger, content, key):
    url, handler = stranger
    handler.content = content
    with pytest.raises(TaggerError) as caught:
        Connection(url, key)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://[::1", "nowhere", "ftp://x", "http://127.0.0.1:1", "", "http://127.0.0.1:99999"]
)
def test_an_address_that_leads_nowhere_is_named(url):
    with pytest.raises(TaggerError):
        Connection(url, "0" * 40)


@pytest.mark.parametrize("key", ["abc\u00e9", "ab\x00c", "a\nb"])
def test_a_damaged_key_is_not_quoted(key):
    with pytest.raises(TaggerError, match="characters that no token has") as caught:
        Connection("http://127.0.0.1:1", key)
    assert key not in str(caught.value)


def test_blanks_around_a_key_do_not_matter():
    with pytest.raises(TaggerError, match="does not answer"):
        Connection(" http://127.0.0.1:1/ ", "0" * 40 + "\r\n")


@pytest.fixture
def variables(monkeypatch):
    """Set what names a server and its token; nothing else is set."""
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "LABEL_STUDIO_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)

    def use(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"LABEL_STUDIO_{name}", str(value))

    return use


@pytest.mark.parametrize("name", ["API_KEY", "API_KEY_FILE"])
def test_a_token_alone_is_not_enough(variables, tmp_path, name):
    variables(**{name: "x"})
    with pytest.raises(TaggerError, match="LABEL_STUDIO_URL is not set"):
        connect(tmp_path)


def test_an_address_alone_is_not_enough(variables, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    variables(URL="http://127.0.0.1:1")
    with pytest.raises(TaggerError, match="LABEL_STUDIO_API_KEY is not set"):
        connect(tmp_path)


def test_a_token_comes_from_the_environment_a_file_or_the_keyring(variables, tmp_path, monkeypatch):
    errors = ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})
    errors.NoKeyringError = type("NoKeyringError", (errors.KeyringError,), {})
    keyring = ModuleType("keyring")
    keyring.get_password = lambda service, url: f"{service} {url}"
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    assert find_token("http://x") == "tagger http://x"
    path = tmp_path / "token"
    path.write_text("of the file\n", encoding="utf-8")
    path.chmod(0o600)
    variables(API_KEY_FILE=path)
    assert find_token("http://x") == "of the file"
    variables(API_KEY="of the environment")
    assert find_token("http://x") == "of the environment"

    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    monkeypatch.delenv("LABEL_STUDIO_API_KEY_FILE")

    def locked(*_):
        raise errors.KeyringError("it is locked")

    keyring.get_password = locked
    with pytest.raises(TaggerError, match="it is locked"):
        find_token("http://x")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_token_file_that_others_can_use_is_refused(variables, tmp_path, mode):
    path = tmp_path / "token"
    path.write_text("planted-marker", encoding="utf-8")
    path.chmod(mode)
    variables(API_KEY_FILE=path)
    with pytest.raises(TaggerError, match="chmod 600") as caught:
        find_token("http://x")
    assert "planted-marker" not in str(caught.value)
    variables(API_KEY_FILE=tmp_path / "nowhere")
    with pytest.raises(TaggerError, match="cannot be read"):
        find_token("http://x")


def test_a_password_in_an_address_is_not_told():
    with pytest.raises(TaggerError) as caught:
        Connection("http://me:planted-marker@127.0.0.1:1", "0" * 40)
    assert "planted-marker" not in str(caught.value)
    assert "http://127.0.0.1:1" in str(caught.value)
