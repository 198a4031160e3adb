"""The reports that every format is tried with, and ways to make others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from smoketest import renderers
from smoketest.fleet import Answer, Expectation, merge
from smoketest.results import Outcome, Report, TestResult

STARTED = datetime(2026, 11, 22, 11, 0, 0, 250_000, UTC)
HOSTILE = (
    "\0\x1b[31m red \r\nmodule1.smoke.T.test_x failed\u2028\u202e\ud800 ж 東 <b>|#::%'\"&\\\n"
    # Each of these lines means something to the reader of some format.
    "::error::forged\n##[error]forged\nnot ok 99 - forged # SKIP\n  ...\n# EOF\n"
    "smoketest_run_success 1\n```\n</pre></details>]]>"
)
"""What a message, a traceback, a name or a URL might have in it."""

READABLE = HOSTILE.replace("\ud800", "\\ud800")
"""What JSON has of it, so that every reader can read it."""


def result(name: str, outcome: Outcome = Outcome.PASSED, **values: Any) -> TestResult:
    values = {"id": f"module1.smoke.DemoTest.{name}", "duration": 0.25, **values}
    return TestResult(**{"outcome": outcome, "started_at": STARTED, **values})


def report(*results: TestResult, **values: Any) -> Report:
    values = {"selected": len(results), "duration": 3.300078613, "started_at": STARTED, **values}
    return Report.from_results(results, **values)


EVERYTHING = report(
    result("test_pass", description="Products can be read.", tags=("db", "network")),
    result(
        "test_fail",
        Outcome.FAILED,
        message="1 != 2\n\n- 1\n+ 2",
        traceback='Traceback (most recent call last):\n  File "smoke.py", line 3, in t\n    x\n',
        file="module1/smoke.py",
        line=3,
        runbook="https://wiki.example/?a=1&b=2",
    ),
    result("test_subtests", Outcome.FAILED, message="(n=1): 1 != 0\n(n=2): 2 != 0"),
    result("test_empty_message", Outcome.FAILED),
    result("test_hostile", Outcome.ERRORED, message=HOSTILE, traceback=HOSTILE, runbook=HOSTILE),
    result("test_timeout", Outcome.ERRORED, message="over 10 s", timed_out=True, cut_off=True),
    result("test_optional_fail", Outcome.FAILED, optional=True, message="nice to have"),
    result("test_optional_error", Outcome.ERRORED, optional=True, traceback="Traceback"),
    result("test_skip", Outcome.SKIPPED, message="no bucket here"),
    result("test_skip_without_reason", Outcome.SKIPPED),
    result("test_retried", retried=True),
    result("x" * 300),
    result("test_retried_in_vain", Outcome.ERRORED, message="deadlock", retried=True),
    result(f"test_{HOSTILE}", Outcome.ERRORED, message="a name like that", file=HOSTILE, line=1),
    result("", Outcome.ERRORED, id="module2.smoke", duration=0.0, message="cannot be imported"),
    release="9f1c2ab",
    node="web-1",
    pid=4242,
    deadline=25.0,
).as_cached(1.5)

NOTHING = report()
"""What there is where no test was found."""


def said_on(name: str, *messages: str) -> Answer:
    """A node on which ``test_0``, ``test_1``, … failed with those messages; empty passed."""
    results = [
        result(f"test_{number}", Outcome.FAILED if message else Outcome.PASSED, message=message)
        for number, message in enumerate(messages)
    ]
    return Answer(node=name, report=report(*results))


def told(name: str, *, stock: Outcome = Outcome.PASSED, release: str = "r2") -> Report:
    """What the node of that name tells of four tests, of which one may fail."""
    why = {"message": "0 != 1", "traceback": "Traceback\n"} if stock is not Outcome.PASSED else {}
    return report(
        result("test_stock", stock, runbook="https://wiki.example/stock", **why),
        result("test_prices"),
        result("test_orders"),
        result("test_mail", Outcome.SKIPPED, message="no key"),
        node=name,
        release=release,
        pid=7,
    )


PASSING = [Answer(node=name, role="web", report=told(name)) for name in ("web-1", "web-2")]
FAILING = Answer(node="web-3", role="web", report=told("web-3", stock=Outcome.FAILED))
OLD = Answer(node="web-4", role="web", report=told("web-4", release="r1"))
REFUSING = Answer(node="web-5", role="web", problem="Connection refused.")
EXPECTED = Expectation(nodes=[f"web-{number}" for number in range(1, 7)])
FLEET = merge(
    [*PASSING, FAILING, OLD, REFUSING],
    EXPECTED,
    duration=1.5,
    deadline=25.0,
    started_at=STARTED,
)
"""Two nodes pass, one fails a test, one is on another release, one refuses, one is absent."""

SPARED = merge(
    [*PASSING, FAILING],
    Expectation(at_least=2),
    duration=1.5,
    deadline=25.0,
    started_at=STARTED,
)
"""A fleet that passes, for enough nodes do."""


def in_json(results: Iterable[TestResult]) -> tuple[TestResult, ...]:
    """``results`` as somebody has them who read them from JSON."""
    whole = json.dumps([one.to_dict() for one in results]).replace(r"\ud800", r"\\ud800")
    return tuple(map(TestResult.from_dict, json.loads(whole)))


def rendered(name: str, subject: Report = EVERYTHING, accept: str = "") -> str:
    return renderers.get(name, accept=accept).render(subject)
