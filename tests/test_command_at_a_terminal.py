"""The command at a real terminal: the live line, colours, and Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tests.conftest import Outside
from tests.terminals import CTRL_C, Terminal

SMOKE = """
    import threading
    from smoketest import SmokeTest
    from tests.testapp.models import Item

    class Shop(SmokeTest):
        def test_1_passes(self):
            Item.objects.create(name="smoke")

        def test_2_fails(self):
            Item.objects.using("other").create(name="smoke")
            self.fail("the shelf is empty")

        def test_3_hangs(self):
            Item.objects.create(name="smoke")
            threading.Event().wait()

        def test_4_never_runs(self):
            pass
"""

Command = Callable[..., Terminal]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Start the command on the tests above."""
    root = Path(__file__).parent.parent
    settings = "from tests.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'shop']\n"
    (tmp_path / "at_terminal.py").write_text(settings)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "smoke.py").write_text(dedent(SMOKE))

    def start(*arguments: str, **environment: str) -> Terminal:
        unwanted = ("CI", "NO_COLOR", "GITHUB_ACTIONS", "COLUMNS", "FORCE_COLOR")
        env = {name: value for name, value in os.environ.items() if name not in unwanted}
        path = os.pathsep.join(filter(None, [str(tmp_path), str(root), env.get("PYTHONPATH")]))
        env |= {"PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "at_terminal", "TERM": "xterm"}
        line = [sys.executable, "-m", "django", "smoketest", "--parallel", "1", *arguments]
        return Terminal(line, env | environment)

    return start


def uncoloured(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def after_the_live_line(terminal: Terminal) -> list[str]:
    """Return what stands on the terminal in the end, below and instead of the live line."""
    return uncoloured(terminal.shown.rpartition("\x1b[K")[2]).splitlines()


@pytest.mark.parametrize("excess", [[], ["--format", "json"]])
def test_ctrl_c_gives_the_report_so_far_and_leaves_nothing_behind(
    vendor: str, command: Command, outside: Outside, excess: list[str]
) -> None:
    with command("-k", "passes", "-k", "hangs", "-k", "never", *excess) as terminal:
        terminal.wait_for("Shop.test_3_hangs")
        terminal.press(CTRL_C)
        assert terminal.end() == 3
    if excess:
        shown = terminal.shown.rpartition("\x1b[K")[2]
        assert '"status": "FAIL"' in shown
        assert '"tests_passed": 1' in shown
    else:
        lines = after_the_live_line(terminal)
        assert lines[0] == "FAIL: 1 of 2 tests errored"
        assert "    The run was interrupted while it was running" in "\n".join(lines)
        assert "The run was interrupted before its end." in lines
        assert "1 selected test did not run, for the run ended before." in lines
    assert "Traceback" not in terminal.shown.partition("test_3_hangs\n")[0]
    for alias in ("default", "other"):
        assert outside("SELECT name FROM testapp_item", alias) == []


def test_ctrl_c_after_a_failure_is_a_failure(vendor: str, command: Command) -> None:
    with command("--timeout", "60") as terminal:
        terminal.wait_for("Shop.test_3_hangs")
        terminal.press(CTRL_C)
        assert terminal.end() == 1
    assert "the shelf is empty" in terminal.shown


@pytest.mark.usefixtures("sqlite")
def test_sigterm_gives_the_report_so_far(command: Command) -> None:
    with command("-k", "hangs") as terminal:
        terminal.wait_for("Shop.test_3_hangs")
        terminal.process.terminate()
        assert terminal.end() == 3
    assert "The run was interrupted before its end." in terminal.shown


@pytest.mark.usefixtures("sqlite")
def test_ctrl_c_while_waiting_for_the_next_attempt_gives_the_report(command: Command) -> None:
    with command("-k", "fails", "--wait", "60", "-v2") as terminal:
        terminal.wait_for("... ")
        terminal.press(CTRL_C)
        assert terminal.end() == 1
    assert "The run was interrupted before its end." in terminal.shown
    assert "the shelf is empty" in terminal.shown


def test_a_second_ctrl_c_ends_the_process_at_once(
    sqlite: object, command: Command, tmp_path: Path, outside: Outside
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # nobody reads it, so the report will never be written
    with command("-v2", "-k", "hangs", "--output", f"json:{pipe}") as terminal:
        terminal.wait_for("Shop.test_3_hangs")
        terminal.press(CTRL_C)
        terminal.wait_for("The run was interrupted")
        terminal.press(CTRL_C)
        assert terminal.end() == -signal.SIGINT
    assert outside("SELECT name FROM testapp_item") == []


@pytest.mark.usefixtures("sqlite")
def test_the_live_line_shows_how_far_the_run_is_and_goes_at_its_end(command: Command) -> None:
    with command("--timeout", "1", "--deadline", "60", "--no-color") as terminal:
        terminal.wait_for("Shop.test_3_hangs")
        assert terminal.end() == 1
    live, *_ = [line for line in terminal.shown.split("\x1b[K") if "test_3_hangs" in line]
    assert re.fullmatch(r"━+╸?━* 2/4, 1 failed, \d\.\d/60 s Shop\.test_3_hangs\r", live)
    lines = after_the_live_line(terminal)
    assert lines[0] == "FAIL: 1 of 4 tests failed, 1 errored"
    assert "━" not in "".join(lines)


@pytest.mark.usefixtures("sqlite")
def test_results_stand_above_the_live_line(command: Command) -> None:
    with command("-v2", "--timeout", "1", "--no-color") as terminal:
        assert terminal.end() == 1
    standing = re.sub(r"[^\n]*\r\x1b\[K", "", terminal.shown)
    assert standing.splitlines()[:3] == [
        "test_1_passes (shop.smoke.Shop.test_1_passes) ... ok",
        "test_2_fails (shop.smoke.Shop.test_2_fails) ... FAIL",
        "    the shelf is empty",
    ]


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["-v0"], {}), ([], {"CI": "true"}), ([], {"TERM": "dumb"})],
)
def test_there_is_no_live_line_for_who_did_not_want_one(
    command: Command, arguments: list[str], environment: dict[str, str]
) -> None:
    with command("-k", "passes", *arguments, **environment) as terminal:
        assert terminal.end() == 0
    assert uncoloured(terminal.shown).startswith("PASS: 1 of 1 test passed\n")


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize(
    ("arguments", "environment", "coloured"),
    [([], {}, True), (["--no-color"], {}, False), ([], {"NO_COLOR": "1"}, False)],
)
def test_colour_is_for_who_wants_it(
    command: Command, arguments: list[str], environment: dict[str, str], coloured: bool
) -> None:
    with command("-k", "hangs", "--timeout", "1", *arguments, **environment) as terminal:
        assert terminal.end() == 1
    assert (re.search(r"\x1b\[\d*m", terminal.shown) is not None) is coloured
