"""Runs a probe as a site does: named in ``SMOKETEST_PROBES``, by the one door."""

from __future__ import annotations

from typing import Any

from smoketest import runner
from smoketest.options import Options
from smoketest.results import TestResult


def run(probe: str, **attributes: Any) -> dict[str, TestResult]:
    """The results of the probe of that name with `attributes`, by the test's own name."""
    path = f"smoketest.probes.{probe}"
    named = (path, attributes) if attributes else path
    report = runner.run(options=Options(probes=(named,)))
    return {result.id.removeprefix(f"{path}."): result for result in report.results}


def outcomes(probe: str, **attributes: Any) -> dict[str, str]:
    """What became of each test of the probe: ``passed``, ``failed: why``, …"""
    return {
        name: f"{result.outcome.value}: {result.message}" if result.message else "passed"
        for name, result in run(probe, **attributes).items()
    }
