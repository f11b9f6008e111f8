import http.server
import threading

import pytest
from ports import free_port

from tagger.errors import TaggerError
from tagger.review.connection import Connection, connect


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


def test_one_variable_is_not_enough(monkeypatch, tmp_path):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "x")
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    with pytest.raises(TaggerError, match="LABEL_STUDIO_URL is not set"):
        connect(tmp_path)
