"""The program as a pipeline starts it: a process of its own, without a project."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from smoketest import conf, renderers
from smoketest.gate import options
from tests.scripted import Scripted, gate, node, report
from tests.terminals import CTRL_C, Terminal

Capture = pytest.CaptureFixture[str]

TOKEN = "a-token-of-24-characters"


def environment(**values: str) -> dict[str, str]:
    """Variables of a pipeline that knows no project."""
    unwanted = ("DJANGO_", "SMOKETEST_", "GITHUB_", "CI", "NO_COLOR", "PYTHONDEVMODE", "COLUMNS")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)}
    return kept | {"PYTHONWARNINGS": "error"} | values


def started(*words: str, stdin: str = "", **values: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "smoketest", *words]
    return subprocess.run(
        command,
        env=environment(**values),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )


@pytest.fixture
def one() -> Iterator[Scripted]:
    with node(report()) as server:
        yield server


@pytest.mark.parametrize("settings", [{}, {"DJANGO_SETTINGS_MODULE": "no.such.settings"}])
def test_no_settings_are_read(one: Scripted, settings: dict[str, str], tmp_path: Path) -> None:
    names = [name for name in renderers.formats() if name != "nagios"]
    outputs = [f"--output={name}:{tmp_path / name}" for name in names]
    ended = started(one.url, *outputs, "-v3", **settings)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_settings_that_break_are_not_even_imported(one: Scripted, tmp_path: Path) -> None:
    (tmp_path / "explosive.py").write_text("raise SystemExit(77)\n")
    values = {"DJANGO_SETTINGS_MODULE": "explosive", "PYTHONPATH": str(tmp_path)}
    assert started(one.url, **values).returncode == 0


@pytest.mark.parametrize("words", [[], ["--help"], ["http://127.0.0.1/"]])
def test_without_httpx_it_says_what_to_install(words: list[str], tmp_path: Path) -> None:
    absent = "raise ModuleNotFoundError(\"No module named 'httpx'\", name='httpx')\n"
    (tmp_path / "httpx.py").write_text(absent)
    ended = started(*words, PYTHONPATH=str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.endswith("Run: python -m pip install 'django-smoketest[gate]'\n")


def test_another_missing_module_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "httpx.py").write_text("import no_such_part_of_httpx\n")
    ended = started("--help", PYTHONPATH=str(tmp_path))
    assert "No module named 'no_such_part_of_httpx'" in ended.stderr


def test_a_disk_that_is_full_does_not_roll_the_site_back(one: Scripted) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "smoketest", one.url]
        ended = subprocess.run(
            command, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 2
    assert "No space left on device" in ended.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_the_verdict_stands_where_a_stream_is_closed(one: Scripted, closed: str) -> None:
    line = f'"{sys.executable}" -m smoketest {one.url} {closed}'
    ended = subprocess.run(
        ["bash", "-c", line], env=environment(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0


def test_nodes_come_from_standard_input(one: Scripted) -> None:
    assert started("--nodes-file=-", stdin=f"{one.url}\n").returncode == 0


def test_urls_may_stand_between_options(capsys: Capture, one: Scripted) -> None:
    ended = gate(capsys, one.url, "-v2", f"{one.url}2/", "--tag=x", f"{one.url}3/")
    assert (ended.status, len(one.asked)) == (0, 3)


def test_nobody_to_ask_is_wrong_usage() -> None:
    ended = started()
    assert ended.returncode == 2
    assert "there is nobody to ask" in ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("http://a/ --deadline=0", "--deadline is 0.0, and must be a number above 0."),
        ("http://a/ --wait=inf", "--wait is inf, and must be a number above 0."),
        ("http://a/ --timeout=-1", "--timeout is -1.0, and must be a number above 0."),
        ("http://a/ --consecutive=0", "--consecutive is 0, and must be a number above 0."),
        ("http://a/ --concurrency=0", "--concurrency is 0, and must be a number above 0."),
        ("http://a/ --at-least=0", "--at-least is 0, and must be a number above 0."),
        ("http://a/ --expect-nodes=0", "--expect-nodes is 0, and must be a number above 0."),
        ("http://a/ --expect-release=", "--expect-release is empty"),
        ("http://a/ --durations=-1", "--durations is -1, and must be 0 (all tests) or more."),
        ("http://a/ --format=jsn", "Unknown format 'jsn': no renderer has that name."),
        ("http://a/ --output=json", "--output is 'json', and must be FORMAT:FILE."),
        ("http://a/ --output=json:/no/such/file", "'/no/such/file', which cannot be written"),
        ("http://a/ --token-env=NOWHERE", "--token-env names 'NOWHERE'"),
        ("http://me:hunter2@a/", "has a user or a password in it."),
    ],
)
def test_wrong_usage_is_2_and_nobody_is_asked(capsys: Capture, words: str, said: str) -> None:
    ended = gate(capsys, *words.split())
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert "hunter2" not in ended.err


def test_wrong_usage_of_a_nagios_plugin_is_unknown(capsys: Capture) -> None:
    assert gate(capsys, "http://a/", "--format=nagios", "--deadline=0").status == 3


def test_a_fleet_that_fails_is_critical_to_nagios(capsys: Capture) -> None:
    with node(report("test_x")) as failing:
        assert gate(capsys, failing.url, "--format=nagios").status == 2


@pytest.mark.parametrize("words", [["--token", TOKEN], [f"--token={TOKEN}"], ["--token"]])
def test_a_token_on_the_command_line_is_refused_and_not_repeated(
    capsys: Capture, words: list[str]
) -> None:
    ended = gate(capsys, "http://a/", *words)
    assert ended.status == 2
    assert "--token-file" in ended.err
    assert TOKEN not in ended.out + ended.err
    assert "--token " not in options.create_parser().format_help()


def test_a_report_that_cannot_be_written_any_more_is_2(capsys: Capture, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    with node(report()) as server:
        server.answers = [replaced(server.answers[0], before=folder.rmdir)]
        ended = gate(capsys, server.url, f"--output=json:{folder / 'a.json'}")
    assert ended.status == 2
    assert "The report could not be written to" in ended.err


def replaced(answer: Any, **values: Any) -> Any:
    return type(answer)(**{**vars(answer), **values})


@contextmanager
def silent() -> Iterator[tuple[str, socket.socket]]:
    """A node that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", server


def interrupted(number: int, *others: str) -> tuple[int, dict[str, Any]]:
    """Send a signal while a node hangs, and return the status and the report."""
    with silent() as (url, server):
        command = [sys.executable, "-m", "smoketest", *others, url, "--format=json"]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            connection, _ = server.accept()
            connection.recv(1)  # the request is on its way, so the handler is in place
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            connection.close()
    assert err == b""
    return process.returncode, json.loads(out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_reports_what_is_known(one: Scripted, number: int) -> None:
    status, data = interrupted(number, one.url, "--concurrency=1")
    assert status == 3
    assert [(found["id"].rpartition(".")[2], found["cut_off"]) for found in data["results"]] == [
        ("test_read", False),
        ("answer", True),
    ]


def test_an_interruption_after_a_failure_is_1() -> None:
    with node(report("test_x")) as failing:
        status, _ = interrupted(signal.SIGINT, failing.url, "--concurrency=1")
    assert status == 1


def test_a_terminal_shows_which_nodes_are_awaited(one: Scripted) -> None:
    with silent() as (url, server):
        command = [sys.executable, "-m", "smoketest", one.url, url, "--wait=60"]
        with Terminal(command, environment(TERM="xterm"), columns=120) as terminal:
            connection, _ = server.accept()
            terminal.wait_for("1/2 nodes, ")
            terminal.wait_for(url)
            terminal.press(CTRL_C)
            assert terminal.end() == 3
            connection.close()


def test_a_name_server_that_hangs_holds_up_nothing(tmp_path: Path) -> None:
    """The one function that asks name servers never returns in that process."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, threading\n"
        "socket.getaddrinfo = lambda *args, **kwargs: threading.Event().wait()\n"
    )
    for words in ([], ["--resolve"]):
        ended = started(
            "http://www.example.com/", "--deadline=0.3", *words, PYTHONPATH=str(tmp_path)
        )
        assert ended.returncode == 1, ended.stderr
        assert "could not be reached before the deadline" in ended.stdout


def test_the_gate_runs_beside_the_main_thread_too(capsys: Capture, one: Scripted) -> None:
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(gate(capsys, one.url).status))
    thread.start()
    thread.join()
    assert statuses == [0]


def test_what_the_deadline_leaves_is_more_than_a_node_takes() -> None:
    assert float(str(conf.Settings.deadline.default)) < options.DEADLINE


@pytest.mark.parametrize(
    "words", [("--format", "nagios"), ("--format=nagios",), ("--output=nagios:-",)]
)
def test_a_plugin_that_is_called_wrongly_is_unknown_and_not_critical(
    capsys: Capture, words: tuple[str, ...]
) -> None:
    """As where Nagios leaves a macro empty."""
    ended = gate(capsys, "http://127.0.0.1:9/", *words, "--expect-nodes", "")
    assert ended.status == 3
    assert "argument --expect-nodes: invalid int value: ''" in ended.err
    assert gate(capsys, "http://127.0.0.1:9/", "--expect-nodes", "").status == 2
