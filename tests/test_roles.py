"""Where a test runs: ``runs_on``, and what a process counts as."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client, override_settings

from smoketest import SmokeTest, conf, runner, runs_on
from smoketest.options import Options
from smoketest.results import Outcome, Report
from smoketest.selection import Selection
from tests.conftest import MakeApp
from tests.projects import Project

SHOP = """
    from smoketest import SmokeTest, runs_on

    class Everywhere(SmokeTest):
        def test_it(self): pass

        @runs_on("worker")
        def test_fonts(self): pass

    class Pages(SmokeTest):
        runs_on = {"web"}

        def test_page(self): pass

    class Queue(Pages):
        runs_on = ["worker"]

        def test_queue(self): pass
"""
EVERYWHERE = "shop.smoke.Everywhere.test_it"
FONTS = "shop.smoke.Everywhere.test_fonts"
PAGE = "shop.smoke.Pages.test_page"
QUEUE = ["shop.smoke.Queue.test_page", "shop.smoke.Queue.test_queue"]
WEB = {EVERYWHERE, PAGE}
WORKER = {EVERYWHERE, FONTS, *QUEUE}


@pytest.fixture
def shop(make_app: MakeApp) -> Path:
    return make_app("shop", {"smoke.py": SHOP})


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(("role", "ids"), [("", WEB | WORKER), ("web", WEB), ("worker", WORKER)])
def test_a_run_has_the_tests_of_its_role(role: str, ids: set[str]) -> None:
    report = runner.run(options=Options(role=role))
    assert {result.id for result in report.results} == ids
    assert report.selected == len(ids)
    assert report.elsewhere == len((WEB | WORKER) - ids)
    assert report.role == role
    assert report.passed


@pytest.mark.usefixtures("shop")
def test_a_test_of_another_role_is_left_out_and_not_skipped() -> None:
    assert runner.run(options=Options(role="web")).counts.skipped == 0


def test_a_method_wins_over_its_class() -> None:
    @runs_on("web")
    class Pages(SmokeTest):
        def test_page(self) -> None: ...

        @runs_on("web", "worker")
        def test_both(self) -> None: ...

    assert Pages("test_page").spec().runs_on == {"web"}
    assert Pages("test_both").spec().runs_on == {"web", "worker"}


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ("worker", TypeError, "which is no set of words"),
        ({1}, TypeError, "which is no set of words"),
        (None, TypeError, "which is no set of words"),
        (set(), ValueError, "it would run nowhere"),
        ({"workers"}, ValueError, "Did you mean 'worker'?"),
        ({"web", "cron"}, ValueError, "names 'cron', which is no role"),
    ],
)
def test_a_role_that_makes_no_sense_is_refused(
    value: Any, kind: type[Exception], said: str
) -> None:
    class Wrong(SmokeTest):
        runs_on = value

        def test_it(self) -> None: ...

    with pytest.raises(kind, match=said.replace("?", r"\?")):
        Wrong("test_it").spec()


def test_a_decorator_refuses_at_once() -> None:
    with pytest.raises(ValueError, match="Did you mean 'web'"):
        runs_on("Web")
    with pytest.raises(ValueError, match="nowhere"):
        runs_on()
    with pytest.raises(TypeError, match="no set of words"):
        runs_on(SmokeTest)  # type: ignore[arg-type]


@pytest.mark.parametrize("role", ["", "web", "worker"])
def test_a_class_with_an_unknown_role_errors_in_every_role(make_app: MakeApp, role: str) -> None:
    text = SHOP.replace('["worker"]', '["wroker"]')
    make_app("shop", {"smoke.py": text})
    report = runner.run(options=Options(role=role))
    (broken,) = [one for one in report.results if one.outcome is Outcome.ERRORED]
    assert broken.id == "shop.smoke.Queue"
    assert "Did you mean 'worker'?" in broken.message
    assert not report.passed


@pytest.mark.usefixtures("shop")
def test_a_probe_is_configured_with_roles() -> None:
    probe = ("smoketest.probes.Environment", {"variables": ["PATH"], "runs_on": {"worker"}})
    for role, number in [("web", 0), ("worker", 1)]:
        options = Options(role=role, probes=(probe,))
        ids = [one.id for one in runner.select(options=options)]
        assert sum("Environment" in one for one in ids) == number


# -- what is selected, but not here


@pytest.mark.usefixtures("shop")
def test_labels_of_another_role_are_no_unknown_words_and_no_pass() -> None:
    report = runner.run(Selection(labels=("shop.smoke.Queue",)), Options(role="web"))
    assert (report.passed, report.exit_status, report.elsewhere) == (False, 3, 2)


@pytest.mark.usefixtures("shop")
def test_the_command_says_why_nothing_is_selected() -> None:
    with override_settings(SMOKETEST_ROLE="web"):
        status, out, _ = command("shop.smoke.Queue")
    assert status == 3
    assert "this process counts as 'web'" in out
    assert "All 2 selected tests run elsewhere only" in " ".join(out.split())


@pytest.mark.usefixtures("shop")
def test_a_request_says_why_nothing_is_selected() -> None:
    with override_settings(SMOKETEST_ANONYMOUS="details"):
        response = Client().get(f"/smoketest/?test={FONTS}")
    assert response.status_code == 500
    text = response.content.decode()
    assert text.startswith("FAIL\n")
    assert "The selected test runs elsewhere only, by runs_on" in text


@pytest.mark.usefixtures("shop")
def test_a_label_that_nothing_has_is_an_unknown_word_in_every_role() -> None:
    with override_settings(SMOKETEST_ROLE="web"):
        status, _, err = command("shop.smoke.Queues")
    assert status == 2
    assert "Did you mean 'shop.smoke.Queue'" in err


# -- what a process counts as


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(("setting", "ids"), [(None, WEB), ("web", WEB), ("worker", WORKER)])
def test_a_request_counts_as_web_unless_the_setting_says_otherwise(
    setting: str | None, ids: set[str]
) -> None:
    with override_settings(SMOKETEST_ROLE=setting):
        report = Client().get("/smoketest/?format=json").json()
    assert {one["id"] for one in report["results"]} == ids
    assert report["role"] == (setting or "web")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("setting", "ids"), [(None, WEB | WORKER), ("web", WEB), ("worker", WORKER)]
)
def test_the_command_counts_as_what_the_setting_names(setting: str | None, ids: set[str]) -> None:
    with override_settings(SMOKETEST_ROLE=setting):
        status, out, _ = command("--format", "json")
    report = json.loads(out)
    assert status == 0
    assert {one["id"] for one in report["results"]} == ids
    assert report.get("role") == setting


def test_a_caller_may_say_otherwise() -> None:
    with override_settings(SMOKETEST_ROLE="web"):
        assert conf.options(role="worker").role == "worker"


def test_processes_of_their_own_run_the_tests_of_the_role(tmp_path: Path) -> None:
    project = Project(tmp_path, settings='SMOKETEST_ROLE = "worker"')
    project.smoke(SHOP)
    done = project.command("--isolate", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert {one["id"] for one in json.loads(done.stdout)["results"]} == WORKER


# -- the list


@pytest.mark.usefixtures("shop")
def test_the_list_shows_the_roles() -> None:
    _, out, _ = command("--list")
    assert f"{EVERYWHERE}\n" in out
    assert f"{FONTS} (worker only)\n" in out
    assert f"{PAGE} (web only)\n" in out
    _, out, _ = command("--list", "--format", "json")
    listed = json.loads(out)
    assert listed["runs_on"] == {one: ["worker"] for one in [FONTS, *QUEUE]} | {PAGE: ["web"]}


@pytest.mark.usefixtures("shop")
@override_settings(SMOKETEST_ROLE="web")
def test_a_list_has_the_tests_of_the_role_or_says_why_it_has_none() -> None:
    _, out, _ = command("--list")
    assert {line.split()[0] for line in out.splitlines()} == WEB
    status, out, err = command("--list", FONTS)
    assert (status, out) == (3, "")
    assert "this process counts as 'web'" in err
    _, _, err = command("--list", "-k", "no-such-test")
    assert err == "Nothing is selected, and that is never a pass.\n"


# -- the report


def test_the_role_travels_with_the_report() -> None:
    report = Report.from_results([], selected=0, role="worker", elsewhere=3)
    again = Report.from_dict(json.loads(json.dumps(report.to_dict())))
    assert (again.role, again.elsewhere) == ("worker", 3)


def command(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("smoketest", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), err.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue(), str(error)
    return 0, out.getvalue(), err.getvalue()
