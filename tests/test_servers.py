"""The servers that the tests start: nothing is left of them, whatever happens to pytest."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers

ROOT = Path(__file__).parent.parent
ONE_TEST = "tests/test_databases.py::test_vendor_is_what_both_aliases_are_connected_to"
NOBODY_LISTENS = "postgresql://user@127.0.0.1:1/"


def pytest_run(**variables: str) -> subprocess.CompletedProcess[str]:
    """What becomes of one test on PostgreSQL, with `variables` in its environment."""
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", f"{ONE_TEST}[postgresql]", "--tb=short"],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_missing_server_skips_its_tests_in_one_line() -> None:
    done = pytest_run(SMOKETEST_TEST_POSTGRESQL=NOBODY_LISTENS)
    assert done.returncode == 0, done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert "SMOKETEST_TEST_POSTGRESQL names a server that does not answer" in line


@pytest.mark.slow
def test_missing_server_is_a_failure_in_ci() -> None:
    done = pytest_run(SMOKETEST_TEST_POSTGRESQL=NOBODY_LISTENS, CI="true")
    assert done.returncode == 1
    assert "SMOKETEST_TEST_POSTGRESQL names a server that does not answer" in done.stdout


def test_missing_binary_is_named_with_its_package() -> None:
    with pytest.raises(
        servers.Unavailable, match="'nosuchd' is not installed; 'apt-get install x'"
    ):
        servers._find("Nosuch", "x", "nosuchd")


def test_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo the disk is full; exit 3"]
    with (
        pytest.raises(servers.Unavailable, match="the disk is full"),
        servers.process(command, tmp_path / "log", "never said", "KILL"),
    ):
        pass


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Takes what SIGKILL leaves; unlike pytest's own folder, the servers may enter it."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_server_is_left_when_the_process_that_started_it_ends(
    end: signal.Signals, open_folder: Path
) -> None:
    # Servers of its own, whichever this session has.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SMOKETEST_TEST_")}
    environment["TMPDIR"] = str(open_folder)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.servers"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        urls = [starter.stdout.readline().partition("=")[2].strip() for _ in range(2)]
        assert [answers(url) for url in urls] == [True, True]
        starter.send_signal(end)
        starter.wait()
    # The kernel sends the signal to the servers; they need a moment to follow it.
    end_of_wait = time.monotonic() + 10
    while any(map(answers, urls)) and time.monotonic() < end_of_wait:
        time.sleep(0.05)
    assert [answers(url) for url in urls] == [False, False]


def answers(url: str) -> bool:
    """Whether a server listens at `url`."""
    server = servers.Server.from_url(url, 0)
    try:
        socket.create_connection((server.host, server.port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True
