"""Smoke tests of a Django project, safe to run in production.

This is what a test author writes with; ``docs/`` has the rest.
"""

from __future__ import annotations

from smoketest.marks import optional, runs_on, serial, tag, timeout
from smoketest.testcases import SmokeTest

__version__ = "2.0.0rc1"

__all__ = ["SmokeTest", "optional", "runs_on", "serial", "tag", "timeout"]
