"""A W&B server as far as a run needs one: it knows runs by id, keeps their history, and fails on demand."""

import gzip
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SILENT = 1


class Server:
    """`rows(id)` is the history of a run; a line that is sent twice is written over.

    fault: given the number of a request, the status with which it fails, or None; SILENT is no answer at all.
    """

    def __init__(self) -> None:
        self.fault: Callable[[int], int | None] = lambda number: None
        self.requests = 0
        self.closing = threading.Event()
        self.lines: defaultdict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        self.runs: dict[str, dict[str, Any]] = {}
        self.url = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send a W&B client here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "k" * 40, "WANDB_ERROR_REPORTING": "false"}

    def next_fault(self) -> int | None:
        self.requests += 1
        return self.fault(self.requests)

    def rows(self, run: str) -> list[dict[str, Any]]:
        return [row for _, row in sorted(self.lines[run].items())]

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """What GraphQL asks; everything else is null."""
        project = {"id": "p", "name": "genreg", "entity": {"id": "e", "name": "someone"}}
        if "upsertBucket" in query:
            run = self.runs.setdefault(variables["name"], {"id": variables["name"]})
            run.update({key: value for key, value in variables.items() if value is not None})
            bucket = {"id": run["id"], "name": run["id"], "displayName": run.get("displayName"),
                      "project": project, "historyLineCount": len(self.lines[run["id"]])}  # fmt: skip
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if "RunResumeStatus" in query:
            name = variables["name"]
            return {"model": {**project, "bucket": self._bucket(name) if name in self.runs else None}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in variables["files"]]
            return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}
        if "viewer" in query:
            viewer = {"id": "v", "entity": "someone", "username": "someone", "flags": "{}",
                      "teams": {"edges": []}, "email": "", "admin": False}  # fmt: skip
            return {"viewer": viewer, "serverInfo": None}
        return {}

    def _bucket(self, name: str) -> dict[str, Any]:
        rows = self.rows(name)
        written = json.dumps({"t": 1})  # a client looks for its telemetry before it goes on
        return {"id": name, "name": name, "displayName": name, "summaryMetrics": "{}", "config": "{}",
                "historyLineCount": len(rows), "eventsLineCount": 0, "logLineCount": 0,
                "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]), "eventsTail": "[]",
                "tags": [], "wandbConfig": written}  # fmt: skip

    def stream(self, run: str, body: dict[str, Any]) -> None:
        part = body.get("files", {}).get("wandb-history.jsonl", {"offset": 0, "content": []})
        for k, line in enumerate(part["content"]):
            self.lines[run][part["offset"] + k] = json.loads(line)


@contextmanager
def wandb_server() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            raw = gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw
            if status := server.next_fault():
                self._fail(status)
                return
            body = {} if "/otel/" in self.path else json.loads(raw or b"{}")
            if match := re.search(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
                server.stream(match[1], body)
                self._reply({})
            else:
                self._reply({"data": server.answer(body.get("query", ""), body.get("variables") or {})})

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._reply({})

        def do_GET(self) -> None:
            self._reply({})

        def _fail(self, status: int) -> None:
            if status == SILENT:
                server.closing.wait()
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _reply(self, value: Any) -> None:
            payload = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{http.server_port}"
        http.daemon_threads, http.block_on_close = True, False
        http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up as they please
        yield server
        server.closing.set()
        http.shutdown()
