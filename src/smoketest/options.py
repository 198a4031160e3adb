"""What a run may do, as plain values: the engine's only way to learn of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WEB, WORKER = "web", "worker"
ROLES = (WEB, WORKER)
"""What a process can count as."""

Probe = str | tuple[str, Mapping[str, Any]]
"""A dotted path to a ``SmokeTest`` class, or that and the attributes to set on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run; the defaults are those of the settings of the same name."""

    skip_apps: tuple[str, ...] = ()
    """Apps left out, by module path, ``AppConfig`` path or label."""
    probes: tuple[Probe, ...] = ()
    """Further classes to run."""
    timeout: float = 10.0
    """Seconds for one test that names no limit of its own."""
    timeout_ceiling: float | None = None
    """Seconds that no test may exceed, whatever it names; ``None`` is no ceiling."""
    deadline: float = 25.0
    """Seconds for the whole run."""
    parallel: int = 16
    """Tests at the same time; 1 is serial."""
    max_connections: int = 4
    """Connections that the run may hold at one time to one database."""
    lock_timeout: float = 2.0
    """Seconds that a test may wait for a database lock."""
    failfast: bool = False
    """Whether to stop at the first failure that fails the run."""
    isolate: bool = False
    """Whether each test class runs in a process of its own, which can be killed."""
    verify: bool = False
    """Whether to verify at the end that nothing was committed, from a second connection."""
    role: str = ""
    """What this process counts as: ``"web"`` or ``"worker"``; empty runs every test."""
    release: str = ""
    """What to report as the release."""
    host: str | None = None
    """Host name for ``self.client``; ``None`` derives it from ``ALLOWED_HOSTS``."""
