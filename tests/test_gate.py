"""The example behind three addresses: two nodes of gunicorn and one of uvicorn.

Beside them one that hangs, and one that refuses. Everything is real: the shop, its
servers, the program of the gate, the sockets.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from smoketest import fleet
from tests.projects import START_SECONDS, free_port
from tests.shop import EXAMPLE, Shop
from tests.test_gate_program import environment

TOKEN = "a-token-of-the-example-shop"
GUNICORN = "gunicorn --no-control-socket --log-level warning --bind {address} config.wsgi"
UVICORN = "uvicorn --log-level warning --host {host} --port {port} --lifespan off config.asgi:"
SERVERS = {
    "127.0.0.2": (GUNICORN, "2026.11.2"),
    "127.0.0.3": (f"{UVICORN}application", "2026.11.2"),
    "127.0.0.4": (GUNICORN, "2026.11.1"),
}
"""How each node is started, and the release that it runs. The last was not deployed to."""


@dataclass(frozen=True)
class Fleet:
    """Where the nodes are."""

    new: tuple[str, str]
    old: str
    hung: str
    refusing: str


@contextmanager
def served(shop: Shop, host: str, port: int, folder: Path) -> Iterator[str]:
    """Serve the shop at ``host`` until the block ends."""
    command, release = SERVERS[host]
    words = command.format(address=f"{host}:{port}", host=host, port=port).split()
    values = {"RELEASE": release, "SMOKETEST_TOKENS": TOKEN, "SHOP_ALLOWED_HOSTS": host}
    with (folder / host).open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=EXAMPLE,
            env=shop.environment | values,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until_up(process, host, port)
        yield f"http://{host}:{port}/smoketest/"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_up(process: subprocess.Popen[bytes], host: str, port: int) -> None:
    until = monotonic() + START_SECONDS
    while process.poll() is None and monotonic() < until:
        try:
            with closing(HTTPConnection(host, port, timeout=60)) as connection:
                connection.request("GET", "/smoketest/?list=1")
                connection.getresponse().read()
        except OSError:
            sleep(0.05)
        else:
            return
    raise RuntimeError(f"The shop did not start at {host}")


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("shop")
    shop, port = Shop.on_sqlite(folder), free_port()
    with ExitStack() as stack:
        urls = [stack.enter_context(served(shop, host, port, folder)) for host in SERVERS]
        stack.enter_context(socket.create_server(("127.0.0.5", port)))  # which nobody accepts
        yield Fleet(
            new=(urls[0], urls[1]),
            old=urls[2],
            hung=f"http://127.0.0.5:{port}/smoketest/",
            refusing=f"http://127.0.0.6:{port}/smoketest/",
        )


def gate(*words: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [sys.executable, "-m", "smoketest", *words],
        env=environment(**({"SMOKETEST_TOKEN": token} if token else {})),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert TOKEN not in ended.stdout + ended.stderr
    return ended


def reported(*words: str, token: str = TOKEN) -> tuple[int, dict[str, Any]]:
    ended = gate(*words, "--format=json", token=token)
    assert ended.stderr == ""
    return ended.returncode, json.loads(ended.stdout)


def said(data: dict[str, Any], about: str) -> dict[str, str]:
    return {one.get("node", ""): one["message"] for one in data["results"] if one["id"] == about}


def test_nodes_that_pass_pass(shops: Fleet) -> None:
    status, data = reported(*shops.new, "--expect-release=2026.11.2", "--expect-nodes=2")
    assert (status, data["status"], data["release"]) == (0, "PASS", "2026.11.2")
    assert [(node["name"], node["passed"]) for node in data["nodes"]] == [
        (url, True) for url in shops.new
    ]
    assert all(node["pid"] for node in data["nodes"])
    tests = dict.fromkeys(shops.new, 0)
    for result in data["results"]:
        tests[result["node"]] += 1
    assert tests[shops.new[0]] == tests[shops.new[1]] > 5


@pytest.mark.slow  # until the deadline, which must not hit the nodes that work
def test_each_node_that_is_not_right_says_why(shops: Fleet) -> None:
    urls = (*shops.new, shops.old, shops.hung, shops.refusing)
    words = ("--expect-release=2026.11.2", "--expect-nodes=5", "--deadline=20", "--tag=photos")
    status, data = reported(*urls, *words)
    assert (status, data["status"]) == (1, "FAIL")
    assert [node["passed"] for node in data["nodes"]] == [True, True, False, False, False]
    assert said(data, fleet.RELEASE) == {
        shops.old: "The node runs the release '2026.11.1', and '2026.11.2' is expected. It was"
        " not deployed to, or an older process still answers. Deploy to it, or wait until it"
        " was restarted."
    }
    assert said(data, fleet.ANSWER) == {
        "": "3 nodes answered, and 5 nodes must. Some were not asked, or gave no report. Look"
        " whether all were started, and all addresses given.",
        shops.hung: "The node took the connection and did not answer before the deadline of"
        " 20 s. It hangs, its tests take longer, or there are too many nodes for the time."
        " Look what runs there, or raise --deadline or --concurrency.",
        shops.refusing: "The node does not take a connection: Connection refused. Nothing"
        " listens there, or a firewall is in between. Start it, or correct the URL.",
    }


def test_a_person_reads_the_same(shops: Fleet) -> None:
    ended = gate(*shops.new, shops.old, shops.refusing, "--at-least=3", "--tag=photos")
    assert ended.returncode == 0
    assert ended.stdout.startswith("PASS: ")
    assert f"    2026.11.2: {', '.join(shops.new)}\n    2026.11.1: {shops.old}\n" in ended.stdout
    assert "warned: smoketest.fleet.answer" in ended.stdout


def test_an_old_release_among_new_ones_is_a_warning_where_none_is_expected(shops: Fleet) -> None:
    status, data = reported(*shops.new, shops.old, "--tag=photos")
    assert status == 0
    assert data["warned_tests"] == [fleet.RELEASE]


def test_wrong_credentials_are_errored(shops: Fleet) -> None:
    status, data = reported(shops.new[0], token="another-token-of-24-signs")
    assert status == 1
    assert (
        "The node refuses the credentials, or the lack of them (status 403): The bearer"
        in (said(data, fleet.ANSWER)[shops.new[0]])
    )


def test_without_credentials_a_release_cannot_be_told(shops: Fleet) -> None:
    status, data = reported(shops.new[0], "--expect-release=2026.11.2", token="")
    assert status == 1
    assert "The node does not tell its release" in said(data, fleet.RELEASE)[shops.new[0]]


def test_an_unknown_tag_is_wrong_usage(shops: Fleet) -> None:
    ended = gate(*shops.new, "--tag=photo")
    assert ended.returncode == 2
    assert "error: Unknown tag 'photo': no smoke test has that tag." in ended.stderr
    assert "Did you mean 'photos'?" in ended.stderr


def test_several_passes_in_a_row(shops: Fleet) -> None:
    ended = gate(*shops.new, "--consecutive=2", "--tag=photos", "-v2")
    assert ended.returncode == 0
    assert len(re.findall(r" \.\.\. ok \(", ended.stdout)) == 4
