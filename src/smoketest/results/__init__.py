"""The values a run is made of: text and numbers only, safe to send anywhere.

A :class:`Report` has a :class:`TestResult` for each test. ``outcomes`` says what became of
one test, ``reports`` what became of the run.
"""

from __future__ import annotations

from .outcomes import EPOCH, LABELS, Outcome, TestResult, new_result
from .reports import Counts, Detail, Node, Report

__all__ = [
    "EPOCH",
    "LABELS",
    "Counts",
    "Detail",
    "Node",
    "Outcome",
    "Report",
    "TestResult",
    "new_result",
]
