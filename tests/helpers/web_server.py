"""A web server on this machine that misbehaves as its paths say."""

import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@contextmanager
def serving(pages):
    """Serve pages by path, all of them as HTML, and misbehave at some others; provide the address.

    ``/to?X`` redirects to X, ``/round`` to itself, ``/silent`` never answers, ``/slow`` and
    ``/slow-header`` send a byte now and then, ``/endless`` sends without end, also while it
    redirects (``/endless-to?X``), ``/huge`` announces a gigabyte, and ``/cut`` more than it sends.
    """
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, target = self.path.partition("?")
            with suppress(OSError):  # the client may leave
                self._answer(unquote(path), target)

        def _answer(self, path, target):
            if path in pages:
                self._head(200, {"Content-Type": "text/html", "Content-Length": len(pages[path])})
                self.wfile.write(pages[path])
            elif path in ("/to", "/round"):
                self._head(302, {"Location": target or path})
            elif path == "/silent":
                over.wait()
            elif path == "/slow-header":
                self._send_on(b"H")
            elif path == "/slow":
                self._head(200, {})
                self._send_on(b"T")
            elif path == "/endless":
                self._head(200, {})
                self._send_on(b"A text. " * 1024, pause=0)
            elif path == "/endless-to":
                self._head(302, {"Location": target})
                self._send_on(b"A text. " * 1024, pause=0)
            elif path in ("/huge", "/cut"):
                self._head(200, {"Content-Length": 10**9 if path == "/huge" else 100})
                self.wfile.write(b"TY  - JOUR\n")
            else:
                self.send_error(404)

        def _head(self, code, fields):
            self.send_response(code)
            for name, value in fields.items():
                self.send_header(name, str(value))
            self.end_headers()

        def _send_on(self, content, pause=0.05):
            while not over.wait(pause):
                self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
