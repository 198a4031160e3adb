"""Standard output and standard error that are closed, full, or read by nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.projects import Project

SMOKE = """
    from smoketest import SmokeTest


    class PlainTest(SmokeTest):
        def test_good(self):
            pass
"""
BAD = (
    SMOKE
    + """
        def test_bad(self):
            self.fail("it does not hold")
"""
)
PRINTS = (
    """
    import os, subprocess, sys, threading

    print("printed at import")
"""
    + SMOKE
    + """
        def test_prints(self):
            print("printed in a test")
            thread = threading.Thread(target=print, args=["printed in a thread"])
            thread.start()
            thread.join()
            subprocess.run(["echo", "printed by a program"], check=True)
            os.write(1, b"printed by C\\n")
            print("printed by what had the stream before", file=sys.__stdout__)
"""
)
LOST = "could not be written to standard output: No space left on device."


def shell(folder: Path, words: str, smoke: str = SMOKE) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py smoketest words``, as a shell takes it."""
    project = Project(folder)
    project.smoke(smoke)
    return subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m django smoketest {words}'],
        env=project.environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("words", [">&-", "--format json >&-", "2>&-", "-v 2 >&- 2>&-"])
def test_the_verdict_stands_where_a_stream_is_closed(tmp_path: Path, words: str) -> None:
    assert shell(tmp_path, words).returncode == 0
    assert shell(tmp_path, words, BAD).returncode == 1


@pytest.mark.parametrize("words", ["", "--format json", "--format ndjson", "-v 2", "--list"])
def test_a_report_that_nobody_sees_is_no_pass(tmp_path: Path, words: str) -> None:
    ended = shell(tmp_path, f"{words} >/dev/full")
    assert ended.returncode == 2
    assert LOST in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_report_that_nobody_sees_is_unknown_to_a_monitor(tmp_path: Path) -> None:
    assert shell(tmp_path, "--format nagios >/dev/full").returncode == 3


def test_a_failure_that_nobody_sees_is_one(tmp_path: Path) -> None:
    ended = shell(tmp_path, "--output json:report.json >/dev/full", BAD)
    assert ended.returncode == 1
    assert LOST in ended.stderr
    assert (tmp_path / "report.json").read_text().startswith("{")


def test_standard_error_that_is_full_does_not_fail_the_run(tmp_path: Path) -> None:
    ended = shell(tmp_path, "--durations 1 --format json 2>/dev/full")
    assert ended.returncode == 0


def test_wrong_usage_is_that_without_standard_error(tmp_path: Path) -> None:
    assert shell(tmp_path, "nosuch 2>&-").returncode == 2


@pytest.mark.parametrize(
    "end", ["os._exit(0)", "os.execv('/bin/true', ['true'])", "os.execlp('true', 'true')"]
)
def test_a_test_that_ends_the_process_is_no_pass(tmp_path: Path, end: str) -> None:
    ended = shell(tmp_path, "", SMOKE.replace("pass", f"import os; {end}"))
    assert ended.returncode == 1
    assert "It would end the live process" in ended.stdout


def test_a_thread_of_a_test_that_ends_the_process_is_no_pass(tmp_path: Path) -> None:
    body = (
        "import os, threading; t = threading.Thread(target=os._exit, args=[0]); t.start(); t.join()"
    )
    ended = shell(tmp_path, "", SMOKE.replace("pass", body))
    assert ended.returncode == 1
    assert "It would end the live process" in ended.stdout


def test_a_process_that_a_test_has_forked_may_end(tmp_path: Path) -> None:
    body = "import os; os.fork() or os._exit(3); self.assertEqual(os.wait()[1], 3 << 8)"
    assert shell(tmp_path, "", SMOKE.replace("pass", body)).returncode == 0


@pytest.mark.parametrize("words", ["--format json", "--format json --isolate"])
def test_what_a_test_prints_is_not_in_the_report(tmp_path: Path, words: str) -> None:
    ended = shell(tmp_path, words, PRINTS)
    assert json.loads(ended.stdout)["status"] == "PASS"
    for place in ("at import", "in a test", "in a thread", "by a program", "by C", "by what"):
        assert f"printed {place}" in ended.stderr


@pytest.mark.parametrize("name", ["junit", "html", "ndjson"])
def test_a_format_has_its_own_encoding_and_not_that_of_the_locale(
    tmp_path: Path, name: str
) -> None:
    project = Project(tmp_path)
    project.smoke(SMOKE.replace("pass", "self.fail('Grüße')"))
    environment = {**project.environment(), "PYTHONIOENCODING": "latin-1"}
    words = [sys.executable, "-m", "django", "smoketest", f"--output={name}:file"]
    ended = subprocess.run(
        [*words, f"--format={name}"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout.decode("utf-8") == (tmp_path / "file").read_text(encoding="utf-8")


def test_what_a_test_prints_beside_a_person_is_on_standard_error(tmp_path: Path) -> None:
    ended = shell(tmp_path, "", PRINTS)
    assert ended.stdout.startswith("PASS")
    assert "printed" not in ended.stdout


def test_a_program_that_outlives_its_test_keeps_nobody_waiting_for_the_report(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "fifo")
    smoke = SMOKE.replace("pass", "import subprocess; subprocess.Popen(['cat', 'fifo'])")
    project = Project(tmp_path)
    project.smoke(smoke)
    with project.start("django", "smoketest") as process:
        assert process.stdout is not None
        assert process.stdout.read().startswith("PASS")  # to its end
        (tmp_path / "fifo").open("w").close()
