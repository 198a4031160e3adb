"""Metrics for Prometheus: text 0.0.4, and OpenMetrics 1.0 for who asks for that.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from smoketest.escaping import one_line
from smoketest.results import Detail, Report

if TYPE_CHECKING:
    from prometheus_client import Metric

_LABELS = ("passed", "failed", "errored", "warned", "skipped")


class OpenMetricsRenderer:
    """``prometheus`` for a caller whose ``Accept`` likes OpenMetrics better."""

    format: ClassVar[str] = "prometheus"
    media_type: ClassVar[str] = "application/openmetrics-text; version=1.0.0"
    charset: ClassVar[str] = "utf-8"
    always_200: ClassVar[bool] = True

    def render(self, report: Report) -> str:
        """Return the metrics, with ``# EOF`` after them."""
        from prometheus_client.exposition import choose_encoder

        encode, _ = choose_encoder(self.media_type)
        return encode(_Collector(report)).decode()


class PrometheusRenderer:
    """``prometheus``: gauges of one run.

    Names and labels are the same in both texts, so no query depends on which of them a
    scrape was given; that is why the status of a test is a gauge and no stateset, whose
    label has another name in each. There are no counters: each process of a server
    would have its own, and every scrape would see another's.

    Always 200, because Prometheus reads no other answer: ``smoketest_run_success``
    has the verdict.
    """

    format: ClassVar[str] = "prometheus"
    media_type: ClassVar[str] = "text/plain; version=0.0.4"
    charset: ClassVar[str] = "utf-8"
    always_200: ClassVar[bool] = True
    variants: ClassVar[tuple[OpenMetricsRenderer, ...]] = (OpenMetricsRenderer(),)
    requires: ClassVar[str] = "prometheus_client"
    install: ClassVar[str] = "django-smoketest[metrics]"

    def render(self, report: Report) -> str:
        """Return the metrics."""
        from prometheus_client import generate_latest

        return generate_latest(_Collector(report)).decode()


class _Collector:
    """What ``prometheus_client`` collects instead of the metrics of this process."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def collect(self) -> Iterator[Metric]:
        """Yield each family of metrics, with all of its samples."""
        yield _gauge("run_success", "1 when the run passed, 0 when not.", self.report.passed)
        if self.report.detail is not Detail.VERDICT:
            yield from _run(self.report)
            yield from _tests(self.report)


def _run(report: Report) -> Iterator[Metric]:
    yield _gauge(
        "run_inconclusive",
        "1 when the run neither passed nor found anything wrong.",
        report.inconclusive,
    )
    yield _gauge("run_duration_seconds", "Time that the run took.", report.duration, unit="seconds")
    yield _gauge(
        "run_deadline_seconds", "Time that the run was given.", report.deadline, unit="seconds"
    )
    yield _gauge(
        "run_timestamp_seconds",
        "Unix time at which the run ended.",
        report.started_at.timestamp() + report.duration,
        unit="seconds",
    )
    yield _gauge(
        "run_cached", "1 when it is the report of an earlier run, 0 when not.", report.cached
    )
    yield _gauge(
        "run_shared",
        "1 when the caller came while the run was under way, 0 when not.",
        report.shared,
    )
    yield _counts(report)
    yield from _build(report)


def _gauge(name: str, help_text: str, value: float, unit: str = "") -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(f"smoketest_{name}", help_text, float(value), unit=unit)


def _counts(report: Report) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily("smoketest_tests", "Tests by outcome.", labels=("status",))
    for label in _LABELS:
        family.add_metric((label,), getattr(report.counts, label))
    return family


def _build(report: Report) -> Iterator[Metric]:
    from prometheus_client.core import InfoMetricFamily

    facts = {"release": report.release, "node": report.node}
    known = {name: one_line(value) for name, value in facts.items() if value}
    if known:
        yield InfoMetricFamily("smoketest_build", "Release and host that answered.", known)


def _tests(report: Report) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    labels = ("test", "required")
    success = GaugeMetricFamily(
        "smoketest_test_success",
        "1 when the test passed, 0 when not; no sample when it was skipped.",
        labels=labels,
    )
    duration = GaugeMetricFamily(
        "smoketest_test_duration_seconds",
        "Time that the test took.",
        labels=labels,
        unit="seconds",
    )
    retried = GaugeMetricFamily(
        "smoketest_test_retried", "1 when the test was run again, 0 when not.", labels=labels
    )
    status = GaugeMetricFamily(
        "smoketest_test_status", "Exactly one status is 1.", labels=(*labels, "status")
    )
    for result in report.results:
        values = (one_line(result.id), "false" if result.optional else "true")
        if result.label != "skipped":
            success.add_metric(values, result.label == "passed")
            duration.add_metric(values, result.duration)
            retried.add_metric(values, result.retried)
        for label in _LABELS:
            status.add_metric((*values, label), result.label == label)
    yield from (success, duration, retried, status)
