"""``github``: read as GitHub's runner reads the lines that a step prints."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import pytest
from markdown_it import MarkdownIt

from smoketest.renderers.github import GitHubRenderer
from smoketest.results import Detail, Outcome, Report, TestResult
from tests.reports import EVERYTHING, HOSTILE, NOTHING, rendered, report, result

GITHUB = GitHubRenderer()


@dataclass(frozen=True)
class Command:
    """What the runner makes of a line."""

    name: str
    properties: dict[str, str]
    message: str


def run_by_runner(text: str) -> list[Command]:
    """The commands in ``text``, unescaped as in actions/runner, ``ActionCommand.cs``."""
    found = []
    for line in re.split(r"\r\n|\n|\r", text):
        match = re.fullmatch(r"\s*::(\w[\w-]*)(?: (.*?))?::(.*)", line)
        if match:
            pairs = [pair.split("=", 1) for pair in (match[2] or "").split(",") if "=" in pair]
            properties = {name: unescaped(value) for name, value in pairs}
            found.append(Command(match[1], properties, unescaped(match[3])))
        else:
            assert "##[" not in line, "the older form of a command is looked for anywhere"
    return found


def unescaped(text: str) -> str:
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ",")):
        text = text.replace(code, character)
    return text.replace("%25", "%")


def commands(*results: TestResult, **values: Any) -> list[Command]:
    return run_by_runner(rendered("github", report(*results, **values)))


def test_a_failure_is_an_error_at_its_file_and_line() -> None:
    failed = result(
        "test_a",
        Outcome.FAILED,
        message="100% of: 1,2\nmore",
        traceback="Trace",
        file="shop/a,b:c.py",
        line=31,
        runbook="https://wiki.example/mail",
    )
    assert commands(failed) == [
        Command(
            "error",
            {
                "file": "shop/a,b:c.py",
                "line": "31",
                "endLine": "31",
                "title": "module1.smoke.DemoTest.test_a",
            },
            "100% of: 1,2\nmore\nTrace\nRunbook: https://wiki.example/mail",
        )
    ]


def test_what_is_no_failure_is_a_warning_a_notice_or_nothing() -> None:
    found = commands(
        result("test_a"),
        result("test_b", Outcome.FAILED, optional=True, message="meh"),
        result("test_c", retried=True),
        result("test_d", Outcome.SKIPPED, message="no key"),
    )
    assert [(one.name, one.properties["title"][-6:], one.message) for one in found] == [
        ("warning", "test_b", "meh"),
        ("notice", "test_c", "(retried)"),
    ]


@pytest.mark.parametrize(("number", "left_out"), [(10, 0), (11, 2), (99, 90)])
@pytest.mark.parametrize(("optional", "level"), [(False, "error"), (True, "warning")])
def test_no_more_than_ten_of_a_level_and_the_last_one_counts_the_rest(
    optional: bool, level: str, number: int, left_out: int
) -> None:
    bad = [result(f"test_{n}", Outcome.FAILED, optional=optional) for n in range(number)]
    found = commands(*bad)
    assert [one.name for one in found] == [level] * 10
    counted = re.findall(r"… and (\d+) more, which the report has", found[-1].message)
    assert counted == ([str(left_out)] if left_out else [])


def test_why_a_run_failed_without_a_failure_is_an_error_and_the_first_one() -> None:
    failures = [result(f"test_{n}", Outcome.FAILED) for n in range(12)]
    first, *_ = commands(*failures, selected=13)
    assert first.message.startswith("1 selected test did not run")
    (only,) = run_by_runner(rendered("github", NOTHING))
    assert (only.name, only.properties) == ("error", {"title": "Smoke tests"})


def test_title_and_message_are_as_long_as_github_shows_them() -> None:
    (one,) = commands(result("x" * 300, Outcome.FAILED, message="é" * 10_000))
    assert len(one.properties["title"]) == 255
    assert len(one.message) == 4096


def test_no_message_is_a_command_of_its_own() -> None:
    hostile = result(
        HOSTILE, Outcome.ERRORED, message=HOSTILE, traceback=HOSTILE, file=HOSTILE, runbook=HOSTILE
    )
    text = rendered("github", report(hostile, release=HOSTILE, node=HOSTILE))
    (command,) = run_by_runner(text)
    assert command.name == "error"
    assert set(command.properties) == {"file", "line", "endLine", "title"}
    assert "\n::error::forged\n" in command.message


def test_the_first_line_is_the_verdict_in_words() -> None:
    assert rendered("github", report(result("test_a"))) == "PASS: 1 of 1 test passed.\n"
    assert rendered("github", NOTHING).startswith("FAIL: no test ran.\n")


# -- the summary of the job


def test_nothing_in_the_summary_is_markdown_but_ours() -> None:
    markup = "# x\n\n</pre></details>\n\n```\n![](https://evil.example/x.png) <img src=x> [a](b)"
    bad = result(markup, Outcome.FAILED, message=markup, traceback=markup, runbook=markup)
    tokens = MarkdownIt().parse(GITHUB.summary(report(bad, release=markup)))
    assert [t.tag for t in tokens if t.type == "heading_open"] == ["h2"]
    kinds = {t.type for token in tokens for t in [token, *(token.children or [])]}
    assert kinds & {"image", "link_open", "fence", "code_block"} == set()
    html = "".join(t.content for t in tokens if t.type in ("html_block", "inline"))
    assert "<img" not in html
    assert html.count("<details") == html.count("</details>") == 1
    assert html.count("<pre>") == html.count("</pre>") == 1


def test_the_summary_has_every_test_that_did_not_pass_or_ran_twice() -> None:
    summary = GITHUB.summary(EVERYTHING)
    assert summary.startswith("## ❌ Smoke tests: FAIL\n\n3 of 13 tests failed, 5 errored")
    assert summary.count("<details") == 3 + 5 + 2 + 2 + 1
    assert summary.encode()


def test_the_summary_of_a_pass_is_short() -> None:
    assert GITHUB.summary(report(result("test_a"))) == (
        "## ✅ Smoke tests: PASS\n\n1 of 1 test passed.\n\n<p>Ran 1 test in 3.300 s.</p>\n"
    )


def test_a_summary_too_large_for_github_leaves_out_what_does_not_fit() -> None:
    many = [result(f"test_{n}", Outcome.FAILED, message="ж" * 50_000) for n in range(40)]
    summary = GITHUB.summary(report(*many))
    assert 900_000 < len(summary.encode()) < 1024 * 1024
    shown = summary.count("</details>")
    assert summary.endswith(f"… and {41 - shown} more that GitHub has no room for.\n")


@pytest.mark.parametrize(("passed", "mark"), [(True, "✅"), (False, "❌")])
def test_the_summary_of_the_verdict_is_the_verdict(passed: bool, mark: str) -> None:
    subject: Report = replace(EVERYTHING, passed=passed, detail=Detail.VERDICT)
    assert GITHUB.summary(subject) == f"## {mark} Smoke tests: {subject.status}\n"
