"""Metrics for Prometheus: text 0.0.4, and OpenMetrics 1.0 for who asks for that.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from smoketest.escaping import one_line
from smoketest.results import LABELS, Detail, Report, TestResult

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.core import GaugeMetricFamily

_MOST = 1000
"""Results of a fleet that have samples of their own, eight each: a Prometheus server is
asked to look twice at a target with more than some ten thousand."""


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

    In the report of a fleet a test has a sample for each node, with the label ``node``.
    Where that would be too many, only what did not pass has, and ``smoketest_test_nodes``
    counts the nodes of every test all the same.
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
            yield from _nodes(self.report) if self.report.nodes else ()
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
    family = _gauges(name, help_text, unit=unit)
    family.add_metric((), value)
    return family


def _gauges(name: str, help_text: str, *labels: str, unit: str = "") -> GaugeMetricFamily:
    """Return a family without samples; the name of a unit is the end of its own."""
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(f"smoketest_{name}", help_text, labels=labels, unit=unit)


def _counts(report: Report) -> Metric:
    family = _gauges("tests", "Tests by outcome.", "status")
    for label in LABELS:
        family.add_metric((label,), getattr(report.counts, label))
    return family


def _build(report: Report) -> Iterator[Metric]:
    from prometheus_client.core import InfoMetricFamily

    facts = {"release": report.release, "node": report.node}
    known = {name: one_line(value) for name, value in facts.items() if value}
    if known:
        yield InfoMetricFamily("smoketest_build", "Release and host that answered.", known)


def _nodes(report: Report) -> Iterator[Metric]:
    from prometheus_client.core import InfoMetricFamily

    success = _gauges("node_success", "1 when the node passed, 0 when not.", "node")
    answered = _gauges("node_answered", "1 when the node gave a report, 0 when not.", "node")
    facts = InfoMetricFamily("smoketest_node", "Release, host and role of a node.")
    for name, node in {one_line(node.name): node for node in report.nodes}.items():
        success.add_metric((name,), node.passed)
        answered.add_metric((name,), not node.problem)
        told = {"node": name, "release": node.release, "host": node.host, "role": node.role}
        facts.add_metric((), {key: one_line(value) for key, value in told.items() if value})
    yield from (success, answered, facts, _test_nodes(report))


def _test_nodes(report: Report) -> Metric:
    family = _gauges("test_nodes", "Nodes by how the test ended there.", "test", "status")
    counts = Counter((one_line(one.id), one.label) for one in report.results)
    for id in dict.fromkeys(id for id, _ in counts):
        for label in LABELS:
            family.add_metric((id, label), counts[id, label])
    return family


def _told(report: Report) -> Mapping[tuple[str, ...], TestResult]:
    """Return the results that have samples of their own, by what they are labelled with.

    Where two have the same labels it is the worse one: a scrape with two samples of the
    same labels is refused as a whole.
    """
    told: dict[tuple[str, ...], TestResult] = {}
    for result in report.results:
        node = (one_line(result.node),) if report.nodes else ()
        labels = (one_line(result.id), "false" if result.optional else "true", *node)
        if labels not in told or told[labels].label in ("passed", "skipped"):
            told[labels] = result
    if not report.nodes or len(told) <= _MOST:
        return told
    bad = [(key, one) for key, one in told.items() if one.label not in ("passed", "skipped")]
    return dict(bad[:_MOST])


def _tests(report: Report) -> Iterator[Metric]:
    labels = ("test", "required", "node") if report.nodes else ("test", "required")
    success = _gauges(
        "test_success",
        "1 when the test passed, 0 when not; no sample when it was skipped.",
        *labels,
    )
    duration = _gauges("test_duration_seconds", "Time that the test took.", *labels, unit="seconds")
    retried = _gauges("test_retried", "1 when the test was run again, 0 when not.", *labels)
    status = _gauges("test_status", "Exactly one status is 1.", *labels, "status")
    for values, result in _told(report).items():
        if result.label != "skipped":
            success.add_metric(values, result.label == "passed")
            duration.add_metric(values, result.duration)
            retried.add_metric(values, result.retried)
        for label in LABELS:
            status.add_metric((*values, label), result.label == label)
    yield from (success, duration, retried, status)
