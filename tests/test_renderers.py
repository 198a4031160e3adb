"""Every format shows the same report, and no message can break or forge any of them."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from smoketest import renderers
from smoketest.exceptions import UnavailableFormat, UnknownFormat
from smoketest.renderers.github import GitHubRenderer
from smoketest.results import Detail, Outcome, Report, TestResult
from tests.reports import (
    EVERYTHING,
    FLEET,
    HOSTILE,
    NOTHING,
    READABLE,
    in_json,
    rendered,
    report,
    result,
)

GOLDEN = Path(__file__).parent / "golden"
OPENMETRICS = "application/openmetrics-text"


def page(subject: Report) -> str:
    """The page without its style and its script, which show themselves in test_page."""
    return re.sub(r"(?s)<(style|script)>.*?</", r"<\1></", rendered("html", subject))


FILES: dict[str, Callable[[Report], str]] = {
    "txt": partial(rendered, "text"),
    "json": partial(rendered, "json"),
    "html": page,
    "health.json": partial(rendered, "health"),
    "prom": partial(rendered, "prometheus"),
    "openmetrics": partial(rendered, "prometheus", accept=OPENMETRICS),
    "junit.xml": partial(rendered, "junit"),
    "tap": partial(rendered, "tap"),
    "nagios": partial(rendered, "nagios"),
    "github": partial(rendered, "github"),
    "github.md": GitHubRenderer().summary,
    "ndjson": partial(rendered, "ndjson"),
}
"""How each file of ``golden`` is written, by what stands after its first dot."""


RECORDED = [
    *(("report", EVERYTHING, suffix) for suffix in FILES),
    *(("nothing", NOTHING, suffix) for suffix in FILES),
    # The page of a fleet shows itself in test_page_nodes.
    *(("fleet", FLEET, suffix) for suffix in FILES if suffix != "html"),
]


@pytest.mark.parametrize(("name", "subject", "suffix"), RECORDED)
def test_a_report_looks_as_recorded(name: str, subject: Report, suffix: str) -> None:
    """Set SMOKETEST_WRITE_GOLDEN to record anew what a change of a format is meant to do."""
    file = GOLDEN / f"{name}.{suffix}"
    written = FILES[suffix](subject).encode()
    if "SMOKETEST_WRITE_GOLDEN" in os.environ:
        file.write_bytes(written)
    assert written == file.read_bytes()


def test_every_format_is_recorded() -> None:
    recorded = {write.args[0] for write in FILES.values() if isinstance(write, partial)}
    assert recorded | {"html"} == set(renderers.formats())


# -- text


def test_text_is_the_contracts_example_byte_for_byte() -> None:
    text = rendered(
        "text",
        report(
            *(result(f"test_{n}") for n in range(5)),
            result("test_foo", Outcome.FAILED),
            result("test_baz", Outcome.ERRORED),
            result("test_bar", Outcome.FAILED),
        ),
    )
    assert text == (
        "FAIL\n"
        "test classes: 1\n"
        "tests run: 8\n"
        "tests passed: 5\n"
        "tests failed: 2\n"
        "tests errored: 1\n"
        "time: 3300.078613ms\n"
        "module1.smoke.DemoTest.test_foo failed\n"
        "module1.smoke.DemoTest.test_bar failed\n"
        "module1.smoke.DemoTest.test_baz errored\n"
    )


def test_text_counts_warnings_and_skips_only_where_there_are_some() -> None:
    warned = result("test_a", Outcome.FAILED, optional=True, message="meh\nmore")
    skipped = result("test_b", Outcome.SKIPPED, message="not here")
    assert rendered("text", report(result("test_c"), warned, skipped)).splitlines()[5:] == [
        "tests errored: 0",
        "tests warned: 1",
        "tests skipped: 1",
        "time: 3300.078613ms",
        "module1.smoke.DemoTest.test_a warned: meh",
        "    more",
        "module1.smoke.DemoTest.test_b skipped: not here",
    ]


def test_text_has_a_message_on_the_line_and_the_rest_indented_below() -> None:
    failed = result("test_a", Outcome.FAILED, message="1 != 2\n- 1", traceback="Trace\n  File\n")
    assert rendered("text", report(failed)).splitlines()[7:] == [
        "module1.smoke.DemoTest.test_a failed: 1 != 2",
        "    - 1",
        "    Trace",
        "      File",
    ]


@pytest.mark.parametrize("separator", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028"])
def test_no_message_can_look_like_a_line_of_the_text(separator: str) -> None:
    forged = f"x{separator}PASS{separator}tests run: 99"
    name = f"a.B.c{separator}PASS"
    bad = [result("", Outcome.ERRORED, id=name, message=forged, traceback=forged)]
    text = rendered("text", report(*bad))
    assert len(re.findall(r"(?m)^(PASS|FAIL|tests run)", "\n".join(text.splitlines()))) == 2


def test_text_escapes_what_drives_a_terminal_or_cannot_be_encoded() -> None:
    text = rendered("text", report(result("test_a", Outcome.ERRORED, message=HOSTILE)))
    assert r"\x00\x1b[31m red \x0d" in text
    assert r"\u2028\u202e\ud800 ж 東 <b>" in text
    assert all(character == "\n" or character.isprintable() for character in text)


def test_zero_tests_fail_and_the_text_says_what_to_do() -> None:
    lines = rendered("text", report()).splitlines()
    assert lines[0] == "FAIL"
    assert lines[2] == "tests run: 0"
    assert "No test was found or selected" in lines[-1]


@pytest.mark.parametrize(
    ("subject", "remark"),
    [
        (report(result("a", Outcome.SKIPPED)), "Every selected test was skipped"),
        (report(result("a"), selected=3), "2 selected tests did not run"),
        (report(result("a"), interrupted=True), "The run was interrupted"),
    ],
)
@pytest.mark.parametrize("name", ["text", "html"])
def test_a_run_that_failed_without_a_failure_says_why(
    name: str, subject: Report, remark: str
) -> None:
    assert rendered(name, subject).count(remark) == 1


# -- JSON

KEYS = [
    *("status", "test_classes", "tests_run", "tests_passed", "tests_failed", "tests_errored"),
    *("tests_warned", "tests_skipped", "failed_tests", "errored_tests", "warned_tests"),
    *("skipped_tests", "time", "duration", "started_at", "release", "node", "pid", "cached"),
    *("age", "shared", "results"),
]


def test_json_has_the_contracts_keys_in_their_order() -> None:
    assert list(json.loads(rendered("json"))) == KEYS


def test_json_counts_lists_and_results_agree() -> None:
    data = json.loads(rendered("json"))
    for word in ("failed", "errored", "warned", "skipped"):
        assert data[f"tests_{word}"] == len(data[f"{word}_tests"]) > 0
    words = ("passed", "failed", "errored", "warned")
    assert data["tests_run"] == sum(data[f"tests_{word}"] for word in words)
    assert [TestResult.from_dict(one) for one in data["results"]] == list(
        in_json(EVERYTHING.results)
    )
    assert data["time"] == pytest.approx(data["duration"] * 1000)


def test_json_is_ascii_and_carries_whatever_a_message_says() -> None:
    text = rendered("json")
    assert text.isascii()
    assert READABLE in [one["message"] for one in json.loads(text)["results"]]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("\ud800", r"\ud800"),
        ("\udfff\udc00", r"\udfff\udc00"),
        ("\udc00\ud800", r"\udc00\ud800"),
        (r"\ud800", r"\ud800"),
        ("\\\ud800", r"\\ud800"),
        ("\N{GRINNING FACE}\ud83d", "\N{GRINNING FACE}\\ud83d"),
        (r"\ud83d" + "\N{GRINNING FACE}", r"\ud83d" + "\N{GRINNING FACE}"),
    ],
)
@pytest.mark.parametrize("name", ["json", "ndjson", "health"])
def test_json_has_no_lone_surrogate_for_some_readers_refuse_it(
    name: str, said: str, read: str
) -> None:
    text = rendered(name, report(result("test_a", Outcome.FAILED, message=said), node="n"))
    assert text.isascii()
    found = [json.loads(line) for line in text.splitlines()]
    assert json.dumps(read) in json.dumps(found)
    assert json.dumps(found, ensure_ascii=False).encode()  # which no lone surrogate can be


def test_every_format_renders_without_settings_and_without_an_app() -> None:
    code = """
import sys
from smoketest import renderers
from smoketest.results import Outcome, Report, TestResult
results = [TestResult(id="a.B.c", outcome=Outcome.FAILED, message="x", duration=1.5)]
for name in renderers.formats():
    text = renderers.get(name).render(Report.from_results(results, selected=1))
    assert "a.B" in text and "c" in text, name
from django.conf import settings
assert not settings.configured
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# -- what all formats have in common


@pytest.mark.parametrize("name", renderers.formats())
def test_what_any_format_says_can_be_encoded(name: str) -> None:
    assert rendered(name).encode(renderers.get(name).charset)


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("passed", [True, False])
def test_who_may_see_the_verdict_only_sees_nothing_else(suffix: str, passed: bool) -> None:
    subject = replace(EVERYTHING, passed=passed, detail=Detail.VERDICT)
    bare = Report(passed=passed, detail=Detail.VERDICT)
    assert FILES[suffix](subject) == FILES[suffix](bare)


@pytest.mark.parametrize("suffix", FILES)
def test_a_fail_that_shows_its_verdict_only_is_no_pass(suffix: str) -> None:
    passed, failed = (Report(passed=word, detail=Detail.VERDICT) for word in (True, False))
    assert FILES[suffix](passed) != FILES[suffix](failed)


@pytest.mark.parametrize(
    ("name", "fail"),
    [
        ("text", "FAIL\n"),
        ("json", '{"status": "FAIL"}\n'),
        ("health", '{"status": "fail"}\n'),
        ("tap", "TAP version 14\n1..1\nnot ok 1 - smoketest\n"),
        ("nagios", "SMOKETEST CRITICAL\n"),
        ("github", "FAIL\n::error title=Smoke tests::The smoke tests failed.\n"),
        ("ndjson", '{"status": "FAIL"}\n'),
    ],
)
def test_the_verdict_alone_is_as_short_as_the_format_has_it(name: str, fail: str) -> None:
    assert rendered(name, replace(EVERYTHING, detail=Detail.VERDICT)) == fail


@pytest.mark.parametrize("suffix", FILES)
def test_a_pass_after_a_retry_says_so_in_every_format(suffix: str) -> None:
    once, twice = (report(result("test_a", retried=retried)) for retried in (False, True))
    assert FILES[suffix](once) != FILES[suffix](twice)


@pytest.mark.parametrize("suffix", FILES)
def test_a_report_from_the_cache_says_so_in_every_format(suffix: str) -> None:
    subject = report(result("test_a"))
    assert FILES[suffix](subject) != FILES[suffix](subject.as_cached(7.5))


@pytest.mark.parametrize("suffix", FILES)
def test_a_report_of_a_run_that_was_under_way_says_so_in_every_format(suffix: str) -> None:
    subject = report(result("test_a"))
    assert FILES[suffix](subject) != FILES[suffix](replace(subject, shared=True))


@pytest.mark.parametrize("suffix", sorted(FILES.keys() - {"prom", "openmetrics"}))
def test_a_runbook_is_beside_the_failure_in_every_format_that_has_text(suffix: str) -> None:
    failed = result("test_a", Outcome.FAILED, runbook="https://wiki.example/a")
    assert "https://wiki.example/a" in FILES[suffix](report(failed))


# -- the registry


class Own:
    """A renderer of a project's own."""

    format = "own"
    media_type = "application/vnd.own; version=2"
    charset = "utf-8"
    accepts = ("text/x-own",)

    def render(self, report: Report) -> str:
        return report.status


class OwnText(Own):
    """One that takes the place of a built-in renderer."""

    format = "text"


NAMES = [
    *("text", "json", "html", "health", "prometheus"),
    *("junit", "tap", "nagios", "github", "ndjson"),
]


def test_the_names_of_formats_come_from_the_registry_in_its_order() -> None:
    assert renderers.formats() == NAMES
    assert renderers.formats([Own]) == [*NAMES, "own"]


def test_a_projects_own_renderer_is_given_as_a_class_or_an_instance() -> None:
    instance = Own()
    assert renderers.get("own", [instance]) is instance
    assert isinstance(renderers.get("own", [Own]), Own)


def test_the_reference_has_all_that_a_renderer_may_have() -> None:
    page = Path(__file__).parent.parent.joinpath("docs/reference/formats.md").read_text()
    _, chapter = page.split("## A format of your own")
    said = inspect.cleandoc(renderers.Renderer.__doc__ or "")  # as Python has it from 3.13 on
    may_have = re.findall(r"^ *(?:- |and )?``(\w+)", said, re.MULTILINE)
    assert {"accepts", "render_refusal", "summary"} <= {*may_have}
    assert [name for name in may_have if f"`{name}" not in chapter] == []


def test_a_projects_own_renderer_may_replace_a_built_in_one() -> None:
    assert isinstance(renderers.get("text", [OwnText]), OwnText)
    assert renderers.formats([OwnText]) == NAMES


def test_an_unknown_format_is_refused_with_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(UnknownFormat) as refusal:
        renderers.get("jsno", [Own])
    assert str(refusal.value) == (
        "Unknown format 'jsno': no renderer has that name. Did you mean 'json'?"
        " Known formats: text, json, html, health, prometheus, junit, tap, nagios, github,"
        " ndjson, own."
    )


def test_a_hostile_name_of_a_format_is_repeated_in_part_and_escaped() -> None:
    with pytest.raises(UnknownFormat) as refusal:
        renderers.get("\ud800\n" + "x" * 100_000)
    assert str(refusal.value).isascii()
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
AXIOS = "application/json, text/plain, */*"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "text"),
        ("", "text"),
        (BROWSER, "html"),
        (AXIOS, "json"),
        ("*/*, application/json", "json"),
        ("application/json", "json"),
        ("APPLICATION/JSON", "json"),
        ("application/json; charset=utf-8", "json"),
        ("application/json;q=0.5, */*;q=0.1", "json"),
        ("application/json;q=0.4, text/plain;q=0.5", "text"),
        ("application/json;q=0.4, text/html;q=0.5;level=1", "html"),
        ("application/json ; q=0.4 , text/html ; q=0.5", "html"),
        ("text/*", "text"),
        ("text/*, text/plain;q=0.1", "html"),
        ("application/*", "json"),
        ("text/plain;q=0, text/*", "html"),
        ("text/plain;q=0, text/html;q=0, */*", "json"),
        ("application/json;q=0", "text"),
        ("*/*;q=0", "text"),
        ("text/html;q=0, application/json;q=0.001", "json"),
        ("text/html, application/json", "html"),
        ("application/json, text/html", "json"),
        ("text/html;version=9;q=0.2, text/html;q=0.9, application/json;q=0.5", "html"),
        ("text/html;version=9;q=0.9, text/html;q=0.2, application/json;q=0.5", "json"),
        ("text/html;q=2, application/json;q=0.9", "html"),
        ("text/html;q=nan, application/json;q=0.9", "html"),
        ("image/png", "text"),
        ("*/json", "text"),
        ("text", "text"),
        (",,;;q=1,/,text/,/html", "text"),
        ("text/html\r\nX: y", "text"),
        ("\ud800\0/\xff", "text"),
        ("application/vnd.own", "own"),
        ("text/x-own;q=0.9, text/plain;q=0.8", "own"),
        ("application/health+json", "health"),
        ("application/json;q=0, application/*", "health"),
        ("application/xml", "junit"),
        ("text/xml, text/plain;q=0.9", "junit"),
        ("application/x-ndjson", "ndjson"),
        ("application/jsonl, application/json;q=0.5", "ndjson"),
        ("application/openmetrics-text; version=1.0.0", "prometheus"),
        ("text/plain; version=0.0.4", "text"),
    ],
)
def test_accept_chooses_the_format(accept: str, expected: str) -> None:
    assert renderers.negotiate(accept, [Own]).format == expected


@pytest.mark.parametrize(
    "accept",
    ["a" * 100_000, "text/html," * 10_000, "," * 100_000, "text/html;q=0." + "9" * 100_000],
)
def test_a_header_longer_than_any_client_sends_gets_text(accept: str) -> None:
    assert renderers.negotiate(accept).format == "text"


def test_only_so_many_ranges_of_a_header_are_looked_at() -> None:
    filler = ",".join(["a/b"] * 100)
    assert renderers.negotiate(f"{filler},text/html").format == "text"
    assert renderers.negotiate(f"text/html,{filler}").format == "html"


def test_text_is_the_answer_that_a_project_may_replace() -> None:
    assert isinstance(renderers.negotiate("*/*", [OwnText]), OwnText)


class Elsewhere(Own):
    """A renderer whose library is not there."""

    requires = "no_such_library"
    install = "django-smoketest[elsewhere]"


def test_a_format_whose_library_is_not_installed_says_what_to_install() -> None:
    with pytest.raises(UnavailableFormat) as refusal:
        renderers.get("own", [Elsewhere])
    assert str(refusal.value) == (
        "The format 'own' cannot be written: it needs the module 'no_such_library', which is"
        " not installed. Run: python -m pip install 'django-smoketest[elsewhere]'"
    )


def test_a_format_whose_library_is_not_installed_is_never_negotiated() -> None:
    assert renderers.negotiate("application/vnd.own, text/html;q=0.1", [Elsewhere]).format == "html"


class Other(Own):
    """A variant of Own in another media type."""

    media_type = "application/vnd.other"


class Both(Own):
    variants = (Other(),)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Both),
        ("*/*", Both),
        ("image/png", Both),
        ("application/vnd.other", Other),
        ("application/vnd.other;q=0.5, application/vnd.own;q=0.4", Other),
        ("application/vnd.other;q=0.4, application/vnd.own;q=0.5", Both),
        ("application/vnd.other;q=0, */*", Both),
        ("a" * 100_000, Both),
    ],
)
def test_accept_chooses_among_the_variants_of_a_format(accept: str, expected: type) -> None:
    assert type(renderers.get("own", [Both], accept)) is expected


def test_a_variant_is_negotiated_by_its_own_media_type() -> None:
    assert type(renderers.negotiate("application/vnd.other", [Both])) is Other
