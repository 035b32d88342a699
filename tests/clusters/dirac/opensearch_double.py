"""A stand-in for OpenSearch: `opensearch_double.py PORT`.

DIRAC 9 keeps job parameters in OpenSearch only, a Java server that neither PyPI nor Debian has. This answers the
REST calls of DIRAC's JobParametersDB and of DiracX's from memory, and 400 to any other; nothing is kept on disk.
API: https://docs.opensearch.org/latest/api-reference/
"""

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Answer = tuple[int, dict[str, Any]]
BANNER = {"name": "double", "cluster_name": "double", "version": {"distribution": "opensearch", "number": "2.11.1"}}
DONE: Answer = (200, {"acknowledged": True})
# JobParametersDB deletes one parameter by a script of this form
REMOVED_FIELD = re.compile(r"remove\('([^']*)'\)")


class Store:
    """Indices of documents, and what each REST call does to them. Not for several threads at once."""

    def __init__(self) -> None:
        self._indices: dict[str, dict[str, dict[str, Any]]] = {}

    def answer(self, verb: str, path: list[str], body: dict[str, Any]) -> Answer | None:
        """Status and JSON, or None for a call that is not known here."""
        match path:
            case []:
                return 200, BANNER
            case ["_index_template" | "_template", *_]:
                return DONE
            case [*_, "_mget"]:
                return 200, {"docs": [self._got(asked["_index"], str(asked["_id"])) for asked in body["docs"]]}
            case [*_, "_bulk"]:
                return self._bulk(body["lines"])
            case [index]:
                return self._index(verb, index)
            case [index, "_search"]:
                return self._search(index)
            case [index, "_doc" | "_create", document]:
                return self._document(verb, index, document, body)
            case [index, "_update", document]:
                return self._update(index, document, body)
        return None

    def _index(self, verb: str, index: str) -> Answer | None:
        if verb in ("HEAD", "GET"):
            return (200 if index in self._indices else 404), {index: {}}
        if verb == "PUT":
            self._indices.setdefault(index, {})
            return 200, {"acknowledged": True, "index": index}
        if verb == "DELETE":
            self._indices.pop(index, None)
            return DONE
        return None

    def _got(self, index: str, document: str) -> dict[str, Any]:
        source = self._indices.get(index, {}).get(document)
        found = {"_index": index, "_id": document, "_version": 1, "found": source is not None}
        return found if source is None else {**found, "_source": source}

    def _search(self, index: str) -> Answer:
        documents = self._indices.get(index, {})
        hits = [{"_index": index, "_id": name, "_score": 1, "_source": source} for name, source in documents.items()]
        return 200, {"took": 0, "timed_out": False, "hits": {"total": {"value": len(hits)}, "hits": hits}}

    def _document(self, verb: str, index: str, document: str, body: dict[str, Any]) -> Answer:
        if verb in ("PUT", "POST"):
            self._indices.setdefault(index, {})[document] = body
            return 201, {"_index": index, "_id": document, "_version": 1, "result": "created"}
        if verb == "DELETE":
            gone = self._indices.get(index, {}).pop(document, None)
            return (404 if gone is None else 200), {"_index": index, "_id": document, "result": "deleted"}
        got = self._got(index, document)
        return (200 if got["found"] else 404), got

    def _bulk(self, lines: list[dict[str, Any]]) -> Answer:
        """Lines in pairs: what to do with which document, and its content."""
        items = []
        for action, content in zip(lines[::2], lines[1::2], strict=True):
            ((verb, where),) = action.items()
            kept = self._indices.setdefault(where["_index"], {}).setdefault(str(where["_id"]), {})
            kept.update(content["doc"] if verb == "update" else content)
            items.append({verb: {"_index": where["_index"], "_id": where["_id"], "status": 200, "result": "updated"}})
        return 200, {"took": 1, "errors": False, "items": items}

    def _update(self, index: str, document: str, body: dict[str, Any]) -> Answer:
        source = self._indices.get(index, {}).get(document)
        if source is None and body.get("doc_as_upsert"):
            return self._document("PUT", index, document, dict(body["doc"]))
        if source is None:
            return 404, {"error": {"type": "document_missing_exception"}, "status": 404}
        script = body.get("script", "")
        for field in REMOVED_FIELD.findall(script if isinstance(script, str) else script["source"]):
            source.pop(field, None)
        source.update(body.get("doc", {}))
        return 200, {"_index": index, "_id": document, "_version": 1, "result": "updated"}


class Front(BaseHTTPRequestHandler):
    """HTTP in front of the server's store."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write per answer: no 40 ms of Nagle and delayed ACK in what is measured
    disable_nagle_algorithm = True
    server: "Server"

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        path = [unquote(part) for part in urlsplit(self.path).path.split("/") if part]
        if path[-1:] == ["_bulk"]:
            body: dict[str, Any] = {"lines": [json.loads(line) for line in raw.splitlines() if line.strip()]}
        else:
            body = json.loads(raw) if raw else {}
        with self.server.lock:
            answer = self.server.store.answer(self.command, path, body)
            status, content = answer or (400, {"error": {"type": "unknown", "reason": f"{self.command} {self.path}"}})
            text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815 - http.server's names


class Server(ThreadingHTTPServer):
    """One store for all connections."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Front)
        self.store = Store()
        self.lock = threading.Lock()


if __name__ == "__main__":
    Server(int(sys.argv[1])).serve_forever()
