"""Nodes that answer the gate as a test wants them to, over real sockets on the loopback."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from smoketest import fleet, renderers
from smoketest.gate import program
from smoketest.results import Outcome, Report, TestResult

TEST = "shop.smoke.Catalogue.test_read"


def report(*bad: str, release: str = "r2", **values: Any) -> Report:
    """A report of one test that passes and of the tests ``bad``, which fail."""
    results = [TestResult(id=TEST, outcome=Outcome.PASSED)]
    results += [
        TestResult(id=f"shop.smoke.Catalogue.{name}", outcome=Outcome.FAILED, message=f"no {name}")
        for name in bad
    ]
    values = {"node": "host", "pid": 7, "duration": 0.25, "release": release, **values}
    return Report.from_results(results, selected=len(results), **values)


@dataclass(frozen=True)
class Say:
    """One answer of a node."""

    body: bytes | Callable[[BaseHTTPRequestHandler], None] = b""
    """A function writes the body itself, after the headers."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] = bool
    """Called before the answer begins."""


def say(what: Report | Mapping[str, Any] | bytes, status: int | None = None, **headers: str) -> Say:
    """A report as the endpoint sends it, an object as JSON, or bytes as they are."""
    if isinstance(what, bytes):
        return Say(what, status or 200, headers)
    if isinstance(what, Report):
        body = renderers.get("json").render(what)
        status = status or (200 if what.passed else 500)
    else:
        body = json.dumps(what)
    return Say(body.encode(), status or 200, {"Content-Type": "application/json", **headers})


class Scripted(ThreadingHTTPServer):
    """A node that gives its answers in their order, and the last one for ever."""

    daemon_threads = False
    answers: Sequence[Say]
    asked: list[tuple[str, dict[str, str]]]
    """Path and headers of each request."""

    @property
    def url(self) -> str:
        """Where its smoke tests are."""
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://{self.server_address[0]!s}:{self.server_port}/smoketest/"

    def handle_error(self, *args: object) -> None:
        """Say nothing of a client that goes away: that is what the tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        answer = self.server.answers[min(len(self.server.asked), len(self.server.answers)) - 1]
        answer.before()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        if callable(answer.body):
            self.end_headers()
            answer.body(self)
        else:
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def node(
    *answers: Say | Report,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Scripted]:
    """Serve ``answers`` until the block ends."""
    server = Scripted((host, port), _Handler)
    server.answers = [say(one) if isinstance(one, Report) else one for one in answers]
    server.asked = []
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Ended:
    """What a run of the gate printed, and its status."""

    status: int
    out: str
    err: str


def gate(capsys: pytest.CaptureFixture[str], *words: str) -> Ended:
    """Run the gate in this process."""
    capsys.readouterr()
    try:
        status = program.main(list(words))
    except SystemExit as end:
        status = int(end.code or 0)
    return Ended(status, *capsys.readouterr())


def problems(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """Return what the gate says of nodes that gave no report."""
    data = json.loads(gate(capsys, *words, "--format=json").out)
    return [one["message"] for one in data["results"] if one["id"] == fleet.ANSWER]
