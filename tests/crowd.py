"""Many nodes on one machine: one server that answers for every address of the loopback.

Linux takes the whole of 127.0.0.0/8 for itself, so a socket that listens everywhere is a
node at each of these addresses. Of a hundred nodes one refuses (at a port where nobody
listens), one never answers and one answers with garbage; the others answer after 0 to 500
milliseconds.

``python -m tests.crowd`` prints its port, and the time at which the first node is asked. It
serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import IO

from smoketest import renderers
from smoketest.results import Outcome, Report, TestResult

FIRST = int(IPv4Address("127.1.0.0"))
REFUSES, HANGS, GARBAGE = range(3)
"""What the number of a node is, modulo 100."""
TESTS = 14
GARBAGE_BODY = b"<!doctype html><title>Welcome</title>"


def address(number: int) -> str:
    """Return where the node of that number is."""
    return str(IPv4Address(FIRST + number))


def urls(nodes: int, port: int) -> list[str]:
    """Return the URLs of so many nodes."""
    ports = {REFUSES: 1}
    return [
        f"http://{address(number)}:{ports.get(number % 100, port)}/smoketest/"
        for number in range(nodes)
    ]


def delay(number: int) -> float:
    """Return the seconds after which a node answers."""
    return number * 37 % 501 / 1000


def body() -> bytes:
    """Return the report of a node on which all is well."""
    results = [
        TestResult(
            id=f"shop.smoke.catalogue.CatalogueTest.test_number_{number}",
            outcome=Outcome.PASSED,
            duration=0.012345,
            description="Something that the shop needs is there.",
            tags=("database",),
            file="/srv/site/shop/smoke/catalogue.py",
            line=number,
        )
        for number in range(TESTS)
    ]
    report = Report.from_results(results, selected=TESTS, release="r2", node="web", pid=7)
    return renderers.get("json").render(report).encode()


class Crowd(asyncio.Protocol):
    """One connection to one node."""

    answers = (body(), GARBAGE_BODY)
    asked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if not Crowd.asked:
            Crowd.asked = True
            print(time.time(), flush=True)
        host, _ = transport.get_extra_info("sockname")
        self.number = int(IPv4Address(host)) - FIRST

    def data_received(self, data: bytes) -> None:
        if self.number % 100 != HANGS:
            asyncio.get_running_loop().call_later(delay(self.number), self.answer)

    def answer(self) -> None:
        answer = self.answers[self.number % 100 == GARBAGE]
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
        self.transport.write(head.encode() + answer)
        self.transport.close()


async def serve() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Crowd, "0.0.0.0", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def crowd() -> Iterator[tuple[int, IO[str]]]:
    """Serve in a process of its own until the block ends.

    Yield the port, and a stream with the time at which the first node is asked.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crowd"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    with process:
        assert process.stdin
        assert process.stdout
        try:
            yield int(process.stdout.readline()), process.stdout
        finally:
            process.stdin.close()
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve())
