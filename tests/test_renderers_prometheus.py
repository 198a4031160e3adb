"""``prometheus``: both texts, read by the two parsers of prometheus_client."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from smoketest import renderers
from smoketest.escaping import one_line
from smoketest.exceptions import UnavailableFormat
from smoketest.results import Detail, Outcome, Report
from tests.reports import EVERYTHING, HOSTILE, NOTHING, rendered, report, result

parse_openmetrics: Any = openmetrics_parser.text_string_to_metric_families  # has no types

OPENMETRICS = "application/openmetrics-text"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_WITHOUT = "text/plain;version=1.0.0;escaping=values;q=0.3,text/plain;version=0.0.4;q=0.2"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
Read = Callable[[Report], list[Metric]]


def read_text(subject: Report) -> list[Metric]:
    return list(parse_text(rendered("prometheus", subject)))


def read_openmetrics(subject: Report) -> list[Metric]:
    return list(parse_openmetrics(rendered("prometheus", subject, OPENMETRICS)))


both = pytest.mark.parametrize("read", [read_text, read_openmetrics])


def samples(families: Iterable[Metric]) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(read: Read, subject: Report, name: str, **labels: str) -> float | None:
    return samples(read(subject)).get((f"smoketest_{name}", frozenset(labels.items())))


@both
@pytest.mark.parametrize("subject", [EVERYTHING, NOTHING])
def test_every_sample_is_a_gauge_without_a_time_of_its_own(read: Read, subject: Report) -> None:
    for family in read(subject):
        assert family.type in ("gauge", "info")
        assert re.fullmatch("smoketest_[a-z_]+", family.name)
        assert family.documentation
        assert all(sample.timestamp is None for sample in family.samples)


def test_both_texts_have_the_same_samples() -> None:
    assert samples(read_text(EVERYTHING)) == samples(read_openmetrics(EVERYTHING))


@pytest.mark.parametrize("subject", [EVERYTHING, NOTHING, Report(passed=True)])
def test_each_text_ends_as_its_standard_says(subject: Report) -> None:
    text, openmetrics = (rendered("prometheus", subject, accept) for accept in ("", OPENMETRICS))
    assert text.endswith("\n")
    assert "# EOF" not in text.splitlines()
    assert openmetrics.endswith("\n# EOF\n")
    for lines in (text.splitlines(), openmetrics.splitlines()):
        kinds = [line.split(" ")[:3] for line in lines if line.startswith("# TYPE")]
        assert len(kinds) == len({name for _, _, name in kinds})
        assert "" not in lines


@both
@pytest.mark.parametrize(
    ("subject", "success", "inconclusive"),
    [
        (report(result("test_a")), 1, 0),
        (report(result("test_a"), result("test_b", Outcome.FAILED, optional=True)), 1, 0),
        (report(result("test_a"), result("test_b", Outcome.FAILED)), 0, 0),
        (report(result("test_a"), selected=2), 0, 1),
        (NOTHING, 0, 1),
    ],
)
def test_the_verdict_is_a_gauge(
    read: Read, subject: Report, success: float, inconclusive: float
) -> None:
    assert value(read, subject, "run_success") == success
    assert value(read, subject, "run_inconclusive") == inconclusive


@both
def test_the_run_is_in_base_units_and_absolute_time(read: Read) -> None:
    assert value(read, EVERYTHING, "run_duration_seconds") == 3.300078613
    assert value(read, EVERYTHING, "run_deadline_seconds") == 25
    ended = EVERYTHING.started_at.timestamp() + EVERYTHING.duration
    assert value(read, EVERYTHING, "run_timestamp_seconds") == ended
    assert value(read, EVERYTHING, "run_cached") == 1
    assert value(read, EVERYTHING, "build_info", release="9f1c2ab", node="web-1") == 1
    counted = {"passed": 3, "failed": 3, "errored": 5, "warned": 2, "skipped": 2}
    for status, number in counted.items():
        assert value(read, EVERYTHING, "tests", status=status) == number


@both
@pytest.mark.parametrize(
    ("outcome", "optional", "success", "status"),
    [
        (Outcome.PASSED, False, 1, "passed"),
        (Outcome.FAILED, False, 0, "failed"),
        (Outcome.ERRORED, False, 0, "errored"),
        (Outcome.FAILED, True, 0, "warned"),
        (Outcome.SKIPPED, False, None, "skipped"),
    ],
)
def test_a_test_has_its_success_and_exactly_one_status(
    read: Read, outcome: Outcome, optional: bool, success: float | None, status: str
) -> None:
    subject = report(result("", outcome, id="a.B.c", optional=optional, retried=True))
    labels = {"test": "a.B.c", "required": "false" if optional else "true"}
    assert value(read, subject, "test_success", **labels) == success
    ran = success is not None
    assert value(read, subject, "test_duration_seconds", **labels) == (0.25 if ran else None)
    assert value(read, subject, "test_retried", **labels) == (1 if ran else None)
    statuses = {
        word: value(read, subject, "test_status", status=word, **labels)
        for word in ("passed", "failed", "errored", "warned", "skipped")
    }
    assert statuses == {word: float(word == status) for word in statuses}


@both
def test_no_name_can_leave_its_label(read: Read) -> None:
    name = 'a.B.c"} 1\nsmoketest_run_success 1\\' + HOSTILE
    subject = report(result("", Outcome.FAILED, id=name), release=name, node=name)
    escaped = one_line(name)
    assert value(read, subject, "test_success", test=escaped, required="true") == 0
    assert value(read, subject, "build_info", release=escaped, node=escaped) == 1
    assert value(read, subject, "run_success") == 0


@both
def test_the_verdict_alone_is_one_sample(read: Read) -> None:
    verdict = Report(passed=False, detail=Detail.VERDICT)
    assert samples(read(verdict)) == {("smoketest_run_success", frozenset()): 0}


# -- over HTTP


@pytest.mark.parametrize(
    ("query", "accept", "content_type"),
    [
        ("?format=prometheus", PROMETHEUS, OPENMETRICS_TYPE),
        ("?format=prometheus", PROMETHEUS_WITHOUT, TEXT_TYPE),
        ("?format=prometheus", "*/*", TEXT_TYPE),
        ("?format=prometheus", "", TEXT_TYPE),
        ("?format=prometheus", "image/png", TEXT_TYPE),
        ("?format=prometheus", f"{OPENMETRICS};q=0, */*", TEXT_TYPE),
        ("?format=prometheus", "a" * 100_000, TEXT_TYPE),
        ("", PROMETHEUS, OPENMETRICS_TYPE),
        ("", OPENMETRICS, OPENMETRICS_TYPE),
        ("", PROMETHEUS_WITHOUT, "text/plain; charset=utf-8"),
    ],
)
def test_prometheus_gets_the_text_that_its_header_names_and_always_200(
    client: Client, query: str, accept: str, content_type: str
) -> None:
    response = client.get(f"/smoketest/{query}", headers={"Accept": accept})
    assert response["Content-Type"] == content_type
    # Nothing is installed that has tests, and that is never a pass.
    text = response.content.decode()
    if "version=" in content_type:
        assert response.status_code == 200
        assert "\nsmoketest_run_success 0.0\n" in text
    parse = parse_openmetrics if content_type == OPENMETRICS_TYPE else parse_text
    assert "version=" not in content_type or list(parse(text))


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] == "prometheus_client":
            monkeypatch.delitem(sys.modules, name)
    # So Python's import system is told that there is no such module.
    monkeypatch.setitem(sys.modules, "prometheus_client", None)


ADVICE = "Run: python -m pip install 'django-smoketest[metrics]'"


@pytest.mark.usefixtures("without_library")
def test_without_its_library_metrics_are_refused_over_http_and_never_negotiated(
    client: Client,
) -> None:
    refused: Any = client.get("/smoketest/?format=prometheus")
    assert refused.status_code == 400
    assert ADVICE in refused.content.decode()
    negotiated = client.get("/smoketest/", headers={"Accept": PROMETHEUS})
    assert negotiated["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.usefixtures("without_library")
def test_without_its_library_metrics_are_wrong_usage_of_the_command() -> None:
    with pytest.raises(CommandError) as refusal:
        call_command("smoketest", "--format", "prometheus")
    assert ADVICE in str(refusal.value)
    assert refusal.value.returncode == 2


@pytest.mark.usefixtures("without_library")
def test_without_its_library_the_format_is_still_named() -> None:
    assert "prometheus" in renderers.formats()
    with pytest.raises(UnavailableFormat, match="prometheus_client"):
        renderers.get("prometheus")
