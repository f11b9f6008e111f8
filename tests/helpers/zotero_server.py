"""A stand-in for the server of Zotero, which answers as its web API of version 3 is documented."""

import http.server
import json
import threading
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

KEY = "planted-key-of-nobody"


class Zotero(http.server.BaseHTTPRequestHandler):
    """Answers requests on the items of ``users/1`` and ``groups/2``.

    ``items`` has the fields of items by key, ``version`` is that of the library. ``next`` are
    answers to give first, as status and headers; None closes the connection. ``before_write`` is
    called before items are written. ``asked`` lists method and path of each request.
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.interrupted():
            return
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/keys/current":
            self.answer({"key": KEY, "userID": 1, "username": "me", "access": self.server.access})
        elif path in ("/users/1/items/top", "/groups/2/items/top"):
            limit, start = (int(query[name][0]) for name in ("limit", "start"))
            assert limit <= 100, "the API returns no more"
            page = [*self.server.items.values()][start : start + limit]
            rows = [{"key": one["key"], "version": one["version"], "data": one} for one in page]
            self.answer(rows, {"Total-Results": len(self.server.items)})
        else:
            self.answer("Not found", status=404)

    def do_POST(self):
        objects = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.interrupted():
            return
        if not any(rights.get("write") for rights in self.rights()):
            self.answer("Write access denied", status=403)
        elif len(objects) > 50:
            self.answer("Too many items", status=413)
        else:
            self.server.before_write()
            self.answer(self.write(objects))

    def rights(self):
        access = self.server.access
        return [access.get("user", {}), *access.get("groups", {}).values()]

    def write(self, objects):
        """Write objects as by PATCH: fields that are not given stay."""
        server, parts = self.server, {"success": {}, "successful": {}, "unchanged": {}}
        failed, server.version = {}, server.version + 1
        for number, given in enumerate(objects):
            own = server.items.get(given["key"])
            if own is None or own["version"] != given["version"]:
                code = 412 if own else 404
                message = "Item has been modified since specified version"
                failed[str(number)] = {"key": given["key"], "code": code, "message": message}
            elif all(own[name] == value for name, value in given.items()):
                parts["unchanged"][str(number)] = own["key"]
            else:
                own.update(given, version=server.version)
                parts["success"][str(number)] = own["key"]
                parts["successful"][str(number)] = {"key": own["key"], "data": own}
        return {**parts, "failed": failed}

    def interrupted(self):
        """Answer as the test demands instead, or refuse a wrong key; return whether it was so."""
        self.server.asked.append((self.command, urlsplit(self.path).path))
        if self.server.next:
            given = self.server.next.pop(0)
            if given is None:
                self.close_connection = True
            elif given:
                self.answer("No", given[1], given[0])
            return given is None or bool(given)
        if self.headers["Authorization"] == f"Bearer {KEY}":
            assert self.headers["Zotero-API-Version"] == "3"
            return False
        self.answer("Invalid key", status=403)
        return True

    def answer(self, content, headers=None, status=200):
        body = (json.dumps(content) if status == 200 else content).encode()
        self.send_response(status)
        kind = "application/json" if status == 200 else "text/plain"
        more = {"Content-Type": kind, "Last-Modified-Version": self.server.version}
        more |= self.server.headers
        for name, value in {**more, **(headers or {}), "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def zotero_server(items):
    """Start a server of items, given by their fields without key and version."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Zotero) as server:
        server.daemon_threads = True
        server.version, server.asked, server.next, server.headers = 7, [], [], {}
        server.access = {"user": {"library": True, "write": True}}
        server.before_write = lambda: None
        fields = {"itemType": "journalArticle", "tags": [], "version": 5, "extra": "kept"}
        keyed = {f"KEY{number:05}": one for number, one in enumerate(items)}
        server.items = {key: {**fields, "key": key, **one} for key, one in keyed.items()}
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
