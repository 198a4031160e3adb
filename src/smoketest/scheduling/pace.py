"""How many threads are of use, as tests turn out to be brief or to wait for something."""

from __future__ import annotations

from collections.abc import Sequence

BRIEF = 0.0005
"""Seconds. While each test ends sooner than that, one thread does more than several, which
would only take the interpreter from one another."""
_CONTESTED = 0.01
"""The same where the interpreter is in use. A test that was begun a moment ago may have
waited for nothing else since: threads pass it on every 5 ms (sys.getswitchinterval)."""


AWAY = 0.1
"""Seconds. Who waits that long for a connection of the run leaves its place to another test,
which may need none; connections that go round are waited for."""
MOST_AWAY = 64
"""Places that are left so at one time; each is a thread."""


def workers_for(ages: Sequence[float], contested: bool) -> int:
    """Return how many workers are of use where tests are under way since ``ages``, in seconds.

    For each that is at a test which is not brief, there is to be another that goes on, and
    three where nothing else uses the interpreter; where it does, ``contested`` says so.
    """
    if contested:
        return 2 * sum(age >= _CONTESTED for age in ages)
    return 4 * sum(age >= BRIEF for age in ages)
