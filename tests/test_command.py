"""``manage.py smoketest``: the run's words, and a status that a deploy can trust."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from django.core.management import CommandError, call_command, color
from django.test import override_settings

from smoketest import renderers, runner, waiting
from smoketest.options import Options
from smoketest.results import Report
from smoketest.selection import Selection
from tests.conftest import MakeApp

SHOP = """
    from smoketest import SmokeTest, tag

    class Catalogue(SmokeTest):
        @tag("db")
        def test_read(self):
            \"\"\"Products can be read.\"\"\"

        def test_write(self):
            self.assertEqual(1, 2)
"""
READ, WRITE = "shop.smoke.Catalogue.test_read", "shop.smoke.Catalogue.test_write"


SECRET = "a-secret-of-the-settings-0123456789"
with_secret = override_settings(SHOP_API_KEY=SECRET)


class Terminal(io.StringIO):
    """A stream that says of itself that a person looks at it."""

    def isatty(self) -> bool:
        return True


class Outcome:
    """What a call of the command printed, and the status it would have exited with."""

    def __init__(self, *arguments: str, stream: type[io.StringIO] = io.StringIO) -> None:
        self._out, self._err = stream(), stream()
        self.status = self._call(arguments)
        self.out, self.err = self._out.getvalue(), self._err.getvalue()

    def _call(self, arguments: tuple[str, ...]) -> int:
        try:
            call_command("smoketest", *arguments, stdout=self._out, stderr=self._err)
        except SystemExit as end:
            return int(end.code or 0)
        except CommandError as error:
            self._err.write(str(error))
            return error.returncode
        return 0


@pytest.fixture
def shop(make_app: MakeApp) -> Path:
    return make_app("shop", {"smoke.py": SHOP})


# -- exit status


@pytest.mark.usefixtures("shop")
def test_a_run_that_passes_is_0() -> None:
    outcome = Outcome(READ)
    assert outcome.status == 0
    assert outcome.out.splitlines()[0] == "PASS: 1 of 1 test passed"
    assert outcome.err == ""


@pytest.mark.usefixtures("shop")
def test_a_run_that_fails_is_1() -> None:
    outcome = Outcome()
    assert outcome.status == 1
    assert outcome.out.startswith("FAIL: 1 of 2 tests failed\n")
    assert f"failed: {WRITE}\n    1 != 2\n      File" in outcome.out


def test_a_run_with_warnings_only_is_0(make_app: MakeApp) -> None:
    optional = SHOP.replace("class", "class Other(SmokeTest): optional = True\n\n    class")
    make_app("shop", {"smoke.py": optional.replace("Catalogue(SmokeTest)", "Catalogue(Other)")})
    outcome = Outcome()
    assert outcome.status == 0
    assert "1 warning" in outcome.out


def test_a_module_that_cannot_be_imported_is_1(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": "import no_such_module"})
    outcome = Outcome()
    assert outcome.status == 1
    assert "shop.smoke cannot be imported" in outcome.out


def test_nothing_found_is_3() -> None:
    outcome = Outcome()
    assert outcome.status == 3
    assert outcome.out.startswith("FAIL: no test ran\n")


@pytest.mark.usefixtures("shop")
def test_nothing_selected_is_3() -> None:
    assert Outcome("-k", "nothing_like_it").status == 3
    assert Outcome("testapp").status == 3


def test_all_skipped_is_3(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": "import unittest\nraise unittest.SkipTest('no')"})
    assert Outcome().status == 3


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shpo"], "Did you mean 'shop'?"),
        (["--tag", "dbb"], "Did you mean 'db'?"),
        (["--exclude-tag", "dbb"], "Did you mean 'db'?"),
        (["--format", "jsno"], "Did you mean 'json'?"),
        (["--list", "--format", "html"], "--list cannot be written as 'html'"),
        (["--parallel", "0"], "--parallel is 0"),
        (["--timeout", "-1"], "--timeout is -1.0"),
        (["--deadline", "nan"], "--deadline is nan"),
        (["--deadline", "1e300"], "--deadline is 1e+300"),
        (["--wait", "-1"], "--wait is -1.0"),
        (["--durations", "-1"], "--durations is -1"),
        (["--output", "json"], "must be FORMAT:FILE"),
        (["--output", "jsno:a"], "Did you mean 'json'?"),
        (["--output", "json:/no/such/folder/a"], "'/no/such/folder/a', which cannot be written"),
        (["--output", "json:-", "--format", "text"], "is to get two reports"),
        (["--list", "--output", "json:-"], "--output is for reports"),
        (["--no-color", "--force-color"], "can't be used together"),
    ],
)
def test_wrong_usage_is_2_and_names_what_is_wrong(arguments: list[str], said: str) -> None:
    outcome = Outcome(*arguments)
    assert outcome.status == 2
    assert said in outcome.err
    assert outcome.out == ""


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "setting",
    [{"SMOKETEST_TIMEOUT": "soon"}, {"SMOKETEST_SKIP_APPS": "shop"}],
)
def test_an_unusable_setting_is_2(setting: Mapping[str, object]) -> None:
    with override_settings(**setting):
        outcome = Outcome()
    assert outcome.status == 2
    assert next(iter(setting)) in outcome.err


@pytest.mark.usefixtures("shop")
@override_settings(SMOKETEST_RENDERERS=["no_such_module.Renderer"])
def test_an_unusable_renderer_is_2_before_any_test_runs() -> None:
    outcome = Outcome("--format", "own", "-v2")
    assert outcome.status == 2
    assert "no_such_module" in outcome.err
    assert "test_read" not in outcome.err


# -- selection and limits


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("arguments", "selected"),
    [
        ([], [READ, WRITE]),
        (["shop"], [READ, WRITE]),
        (["shop.smoke.Catalogue.test_read", "shop.smoke.Catalogue.test_write"], [READ, WRITE]),
        (["--tag", "db"], [READ]),
        (["--exclude-tag", "db"], [WRITE]),
        (["-k", "write", "-k", "read"], [READ, WRITE]),
        (["shop", "-k", "*write"], [WRITE]),
    ],
)
def test_the_words_of_manage_py_test_select(arguments: list[str], selected: list[str]) -> None:
    assert Outcome("--list", *arguments).out.splitlines() == selected
    results = json.loads(Outcome("--format", "json", *arguments).out)["results"]
    assert [one["id"] for one in results] == selected


def test_the_limits_of_the_command_line_go_over_those_of_the_settings(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Options] = []
    real = runner.run

    def run(selection: Selection, options: Options, **callbacks: Any) -> Report:
        given.append(options)
        return real(selection, options, **callbacks)

    monkeypatch.setattr(runner, "run", run)
    make_app("shop", {"smoke.py": SHOP})
    with override_settings(SMOKETEST_TIMEOUT=1, SMOKETEST_DEADLINE=2, SMOKETEST_LOCK_TIMEOUT=3):
        Outcome("--timeout", "60", "--deadline", "120", "--parallel", "2", "--failfast")
    (options,) = given
    limits = (options.timeout, options.deadline, options.parallel, options.lock_timeout)
    assert limits == (60, 120, 2, 3)
    assert options.failfast


# -- output


@pytest.mark.usefixtures("shop")
def test_list_as_json_runs_nothing_and_marks_what_cannot_be_loaded(make_app: MakeApp) -> None:
    make_app("bank", {"smoke.py": "1 / 0"})
    outcome = Outcome("--list", "--format", "json")
    assert outcome.status == 0
    assert json.loads(outcome.out) == {
        "tests": [READ, WRITE, "bank.smoke"],
        "cannot_be_loaded": ["bank.smoke"],
        "runs_on": {},
    }
    assert Outcome("--list", "bank").out == "bank.smoke (cannot be loaded)\n"


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("form", [[], ["--format", "json"]])
def test_an_empty_list_is_3(form: list[str]) -> None:
    outcome = Outcome("--list", "-k", "nothing_like_it", *form)
    assert outcome.status == 3
    assert "never a pass" in outcome.err


@pytest.mark.usefixtures("shop")
def test_verbosity_0_is_one_line_and_2_has_a_line_for_each_test() -> None:
    assert Outcome("-v0").out == "FAIL: 1 of 2 tests failed\n"
    lines = Outcome("-v2").out.splitlines()
    verdict = lines.index("FAIL: 1 of 2 tests failed")
    assert sorted(lines[:verdict]) == [
        "    1 != 2",
        f"test_read ({READ}) ... ok",
        f"test_write ({WRITE}) ... FAIL",
    ]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("name", ["text", "json", "html"])
def test_a_format_is_alone_on_stdout_at_any_verbosity(name: str) -> None:
    loud = Outcome("--format", name, "-v3")
    assert loud.out.startswith({"text": "FAIL\n", "json": "{", "html": "<!DOCTYPE"}[name])
    assert f"test_read ({READ}) ... ok\n" in loud.err
    assert "... ok" not in loud.out
    assert Outcome("--format", name).err == ""


# -- several reports


@pytest.mark.usefixtures("shop")
def test_one_run_writes_many_reports_and_what_a_person_reads(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("json", "junit", "text")}
    outcome = Outcome(*(f"--output={name}:{file}" for name, file in files.items()))
    assert outcome.status == 1
    assert outcome.out.startswith("FAIL: 1 of 2 tests failed\n")
    started = {json.loads(files["json"].read_text())["started_at"]}
    assert files["text"].read_text().startswith("FAIL\n")
    assert "<testsuites" in files["junit"].read_text()
    assert len(started) == 1


@pytest.mark.usefixtures("shop")
def test_a_format_on_stdout_and_another_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    outcome = Outcome("--output", "text:-", "--output", f"json:{file}")
    assert outcome.out.startswith("FAIL\n")
    assert json.loads(file.read_text())["status"] == "FAIL"


def test_a_file_that_cannot_be_written_is_2_before_any_test_runs(
    make_app: MakeApp, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    smoke = f"""
        from pathlib import Path
        from smoketest import SmokeTest

        class T(SmokeTest):
            def test_it(self): Path({str(ran)!r}).touch()
    """
    make_app("shop", {"smoke.py": smoke})
    good = tmp_path / "good.json"
    outcome = Outcome(f"--output=json:{good}", f"--output=text:{tmp_path}/missing/bad.txt")
    assert outcome.status == 2
    assert "No test has run" in outcome.err
    assert not ran.exists()
    assert not good.exists()


@pytest.mark.parametrize(("test", "status"), [(READ, 2), (WRITE, 1)])
def test_a_file_that_cannot_be_written_any_more_is_never_a_pass(
    shop: Path, test: str, status: int, tmp_path: Path
) -> None:
    other = tmp_path / "report.txt"
    outcome = Outcome(test, "--output", "json:/dev/full", "--output", f"text:{other}")
    assert outcome.status == status
    assert "could not be written to '/dev/full'" in outcome.err
    assert other.read_text()[:4] in outcome.out


@pytest.mark.usefixtures("shop")
def test_durations_are_shown_beside_a_format_and_in_the_words_for_a_person() -> None:
    person = Outcome("--durations", "1").out
    assert person.count(" s  shop.smoke.") == 1
    program = Outcome("--durations", "0", "--format", "json")
    assert json.loads(program.out)["tests_run"] == 2
    assert program.err.splitlines()[0] == "Slowest tests:"
    assert program.err.count(" s  shop.smoke.") == 2


@pytest.mark.usefixtures("shop")
def test_ndjson_has_a_line_for_each_test_and_one_for_the_run(tmp_path: Path) -> None:
    file = tmp_path / "report.ndjson"
    outcome = Outcome("--format", "ndjson", "--output", f"ndjson:{tmp_path / 'report.ndjson'}")
    for text in (outcome.out, file.read_text()):
        *tests, run = map(json.loads, text.splitlines())
        assert sorted(one["id"] for one in tests) == [READ, WRITE]
        assert run["status"] == "FAIL"


@with_secret
def test_no_output_has_a_secret(make_app: MakeApp, tmp_path: Path) -> None:
    smoke = f"""
        from smoketest import SmokeTest

        class T(SmokeTest):
            def test_it(self): self.fail("the key is {SECRET}")
    """
    make_app("shop", {"smoke.py": smoke})
    file = tmp_path / "report.json"
    for name in ("text", "ndjson", "github"):
        outcome = Outcome("--format", name, "-v3", "--output", f"json:{file}")
        shown = outcome.out + outcome.err + file.read_text()
        assert "the key is" in shown
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("selected", "status"), [([READ], 0), ([], 2), (["-k", "nothing_like_it"], 3)]
)
@pytest.mark.usefixtures("shop")
def test_nagios_has_its_own_exit_statuses(selected: list[str], status: int) -> None:
    outcome = Outcome("--format", "nagios", *selected)
    assert outcome.status == status
    assert outcome.out.startswith("SMOKETEST ")


def test_warnings_are_1_for_nagios_and_0_for_all_others(make_app: MakeApp) -> None:
    optional = SHOP.replace(
        "Catalogue(SmokeTest):", "Catalogue(SmokeTest):\n        optional = True"
    )
    make_app("shop", {"smoke.py": optional})
    assert Outcome("--output", "nagios:-").status == 1
    assert Outcome("--output", "nagios:/dev/null").status == 0


@pytest.mark.usefixtures("shop")
def test_wrong_usage_is_unknown_to_nagios_not_critical() -> None:
    assert Outcome("--format", "nagios", "shpo").status == 3
    assert Outcome("--format", "nagios", "--output", "json:/no/such/folder/a").status == 3


@pytest.mark.usefixtures("shop")
def test_github_gets_its_summary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    page.touch()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert "::error" in Outcome("--format", "github").out
    assert page.read_text() == ""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert Outcome("--format", "github").status == 1
    assert WRITE in page.read_text()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "missing" / "summary.md"))
    assert Outcome("--format", "github").status == 2
    assert Outcome("--format", "json").status == 1


# -- again


STARTING = """
    from smoketest import SmokeTest
    calls = []

    class Service(SmokeTest):
        def test_it(self):
            calls.append(1)
            self.assertGreater(len(calls), 1, "not up yet")
"""


@pytest.mark.parametrize("name", renderers.formats())
def test_a_pass_after_a_retry_is_marked_in_every_format(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(waiting, "INTERVAL", 0.0)
    make_app("shop", {"smoke.py": STARTING})
    outcome = Outcome("--wait", "60", "--format", name)
    assert outcome.status == 0
    assert "retried" in outcome.out


def test_a_pass_after_a_retry_is_told_to_a_person(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "INTERVAL", 0.0)
    make_app("shop", {"smoke.py": STARTING})
    outcome = Outcome("--wait", "60", "-v2")
    assert outcome.status == 0
    test = "test_it (shop.smoke.Service.test_it)"
    assert outcome.out.splitlines()[:3] == [
        f"{test} ... FAIL",
        "    1 not greater than 1 : not up yet",
        f"{test} ... ok (retried)",
    ]
    assert "retried: shop.smoke.Service.test_it" in outcome.out


# -- colour


@pytest.mark.usefixtures("shop")
def test_there_is_colour_only_on_a_terminal_or_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Django asks of sys.stdout, which is pytest's here.
    monkeypatch.setattr(color, "supports_color", lambda: True)
    assert "\x1b[" in Outcome("-v2", stream=Terminal).out
    assert "\x1b[" not in Outcome("-v2").out
    assert "\x1b[" not in Outcome("-v2", "--no-color", stream=Terminal).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in Outcome("-v2", stream=Terminal).out
    assert "\x1b[" in Outcome("-v2", "--force-color").out
    assert "\x1b[" not in Outcome("--force-color", "--format", "text", stream=Terminal).out


# -- the process


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of its own, with the settings that every one must have and no more."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    settings = """
        SECRET_KEY = "only-for-this-test"
        INSTALLED_APPS = ["smoketest", "shop"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/no/such/db"}}
    """
    (tmp_path / "minimal.py").write_text(dedent(settings))
    return tmp_path


def environment(project: Path, encoding: str = "utf-8") -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(project), os.environ.get("PYTHONPATH")]))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "DJANGO_SETTINGS_MODULE": "minimal",
        "PYTHONIOENCODING": encoding,
        "PYTHONWARNINGS": "error",
    }


def manage(
    project: Path, smoke: str, *arguments: str, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, on the smoke module ``smoke``."""
    (project / "shop" / "smoke.py").write_text(dedent(smoke), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "django", "smoketest", *arguments],
        env=environment(project, encoding),
        capture_output=True,
        encoding=encoding,
        timeout=60,
        check=False,
    )


def test_a_database_that_is_down_is_a_result_and_no_url_is_needed(project: Path) -> None:
    smoke = """
        from django.db import connection
        from smoketest import SmokeTest

        class T(SmokeTest):
            def test_database(self): connection.cursor()
            def test_other(self): pass
    """
    done = manage(project, smoke)
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL: 1 of 2 tests errored\n")
    assert "unable to open database file" in done.stdout
    assert done.stderr == ""


def test_the_process_ends_with_the_documented_status(project: Path) -> None:
    passes = SHOP.replace("self.assertEqual(1, 2)", "pass")
    assert manage(project, passes).returncode == 0
    assert manage(project, "").returncode == 3
    unknown = manage(project, passes, "shpo")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("CommandError: Unknown label 'shpo'")


def test_any_message_can_be_written_in_any_encoding(project: Path) -> None:
    smoke = r"""
        from smoketest import SmokeTest

        class T(SmokeTest):
            def test_it(self): self.fail("\ud800 \x1b ж")
    """
    done = manage(project, smoke, encoding="ascii")
    assert done.returncode == 1
    assert r"\ud800 \x1b \u0436" in done.stdout
    assert done.stderr == ""


def test_a_closed_pipe_changes_neither_the_status_nor_stderr(project: Path) -> None:
    (project / "shop" / "smoke.py").write_text(dedent(SHOP))
    program = f"{sys.executable} -m django smoketest -v2 | exec 0<&-; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", program],
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_stuck_test_keeps_the_process_from_ending_no_longer_than_its_limit(
    project: Path,
) -> None:
    smoke = """
        import threading
        from asgiref.sync import sync_to_async
        from smoketest import SmokeTest

        class T(SmokeTest):
            def test_thread(self): threading.Event().wait()

            async def test_executor(self):
                # Python waits for an executor's threads at its end.
                await sync_to_async(threading.Event().wait, thread_sensitive=False)()
    """
    done = manage(project, smoke, "--timeout", "0.2", "--format", "json")
    assert done.returncode == 1
    assert [one["timed_out"] for one in json.loads(done.stdout)["results"]] == [True, True]
