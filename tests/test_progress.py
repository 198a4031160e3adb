"""The live line: what it says, in how many columns, and for whom."""

from __future__ import annotations

import builtins
import io
import re
import threading
from typing import Any

import pytest

from smoketest import progress
from smoketest.progress import ERASE, LiveLine, Progress, drawing, is_wanted, plain
from smoketest.results import Outcome, TestResult


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no file")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the clock shows, one reading after another; the last one stays."""
    readings = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: readings[-1])
    return readings


def result(id: str, outcome: Outcome = Outcome.PASSED, **values: Any) -> TestResult:
    return TestResult(id=id, outcome=outcome, **values)


def under_way(clock: list[float]) -> Progress:
    state = Progress(25.0, started=0.0)
    state.on_start([f"shop.smoke.T.test_{number}" for number in range(5)])
    for number in range(4):
        state.on_begin(f"shop.smoke.T.test_{number}")
    state.on_result(result("shop.smoke.T.test_0", Outcome.ERRORED))
    state.on_result(result("shop.smoke.T.test_2", Outcome.FAILED, optional=True))
    clock.append(2.42)
    return state


def test_it_says_how_many_are_done_and_failed_the_time_and_what_runs(clock: list[float]) -> None:
    assert plain(under_way(clock), 79) == "2/5, 1 failed, 2.4/25 s: T.test_1, T.test_3"


def test_before_the_tests_are_known_it_says_so(clock: list[float]) -> None:
    state = Progress(25.0, started=0.0)
    clock.append(3.0)
    assert plain(state, 79) == "looking for tests, 3.0/25 s"


def test_nodes_that_are_asked_are_shown_by_their_whole_names(clock: list[float]) -> None:
    state = Progress(25.0, started=0.0, of_nodes=True)
    assert plain(state, 79) == "looking for nodes, 0.0/25 s"
    state.on_start(["http://10.0.0.1/", "http://10.0.0.2/", "http://10.0.0.3/"])
    for number in (1, 2, 3):
        state.on_begin(f"http://10.0.0.{number}/")
    state.on_end("http://10.0.0.1/", bad=True)
    state.on_end("http://10.0.0.3/", bad=False)
    assert plain(state, 79) == "2/3 nodes, 1 failed, 0.0/25 s: http://10.0.0.2/"


def test_a_second_attempt_begins_anew(clock: list[float]) -> None:
    state = under_way(clock)
    state.on_start(["shop.smoke.T.test_0"])
    assert plain(state, 79) == "0/1, 0.0/25 s"


def test_a_result_of_a_test_that_never_began_counts(clock: list[float]) -> None:
    state = under_way(clock)
    state.on_result(result("shop.smoke.T.test_4"))
    assert plain(state, 79).startswith("3/5")


@pytest.mark.parametrize("columns", [20, 39, 79])
@pytest.mark.parametrize("draw", [plain, drawing(colour=False)])
def test_it_is_never_wider_than_the_terminal_and_never_drives_it(
    clock: list[float], draw: progress.Draw, columns: int
) -> None:
    state = under_way(clock)
    state.on_begin("shop.smoke.T.test_\x1b[2J\n" + "x" * 100)
    drawn = draw(state, columns)
    assert len(drawn) <= columns
    assert drawn.isprintable()


def test_with_rich_it_has_a_bar_and_colours(clock: list[float]) -> None:
    state = under_way(clock)
    colourless = drawing(colour=False)(state, 79)
    assert re.fullmatch(r"[━╸╺]+ 2/5, 1 failed, 2\.4/25 s T\.test_1, T\.test_3", colourless.strip())
    assert "\x1b[31m" in drawing(colour=True)(state, 79)


def test_without_rich_it_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_rich(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "rich":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_rich)
    assert drawing(colour=True) is plain


@pytest.mark.parametrize(
    ("stream", "verbosity", "environment", "wanted"),
    [
        (Terminal(), 1, {"TERM": "xterm"}, True),
        (Terminal(), 2, {}, True),
        (Terminal(), 0, {}, False),
        (io.StringIO(), 1, {}, False),
        (Terminal(), 1, {"CI": "true"}, False),
        (Terminal(), 1, {"TERM": "dumb"}, False),
    ],
)
def test_it_is_for_a_person_at_a_terminal(
    stream: io.StringIO, verbosity: int, environment: dict[str, str], wanted: bool
) -> None:
    assert is_wanted(stream, verbosity, environment) is wanted


def test_the_line_is_redrawn_without_events_stands_aside_and_goes() -> None:
    drawn = threading.Semaphore(0)
    stream = Terminal()

    def draw(state: Progress, columns: int) -> str:
        drawn.release()
        return "the line"

    with LiveLine(Progress(25.0, started=0.0), stream, draw) as line:
        assert drawn.acquire(timeout=30)
        assert drawn.acquire(timeout=30)
        with line.aside():
            stream.write("a result\n")
    shown = stream.getvalue()
    assert shown.startswith(f"{ERASE}the line{ERASE}the line{ERASE}")
    assert f"the line{ERASE}a result\n" in shown
    assert shown.endswith(ERASE)
