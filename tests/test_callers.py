"""Callers of one process, over real servers: who goes away takes nothing from the others."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.projects import Project

PATIENCE = 30.0
"""Seconds."""

SMOKE = """
    from pathlib import Path
    from time import sleep
    from smoketest import SmokeTest, sharing, timeout

    class SharedTest(SmokeTest):
        @timeout(25)
        def test_it(self):
            with Path("runs").open("a") as file:
                file.write("a run\\n")
            while not Path("may_end").exists():
                if sharing._sharing._flight.awaited:
                    Path("joined").touch()
                sleep(0.01)
"""


def until_there(file: Path) -> None:
    patience = monotonic() + PATIENCE
    while not file.exists():
        assert monotonic() < patience, f"no {file.name}"
        sleep(0.01)


@pytest.mark.parametrize("name", ["gunicorn", "uvicorn"])
def test_a_caller_that_goes_away_does_not_break_the_others_run(name: str, tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.smoke(SMOKE)
    with project.served_by(name) as server, ThreadPoolExecutor(1) as pool:
        first = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        first.sendall(b"GET /smoketest/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until_there(tmp_path / "runs")
        other = pool.submit(server.get, "/smoketest/")
        until_there(tmp_path / "joined")
        first.close()
        server.get("/elsewhere/")  # what comes later is answered: the end of the first is known
        (tmp_path / "may_end").touch()
        status, body = other.result(PATIENCE)
    assert (status, body.splitlines()[0]) == (200, "PASS")
    assert (tmp_path / "runs").read_text() == "a run\n"
