"""The smoke tests on every worker node of Celery, and one report of what came back.

Each node is asked by a message of its own, in a queue of its own, which a process of
its pool takes: see :func:`ask`. What a node does with it is in ``answering``, and
``smoketest.tasks`` is where Celery finds it.

Celery is an extra. Only ``tasks``, and what :func:`ask` imports, needs it.
"""

from __future__ import annotations

from .asking import TASK, Listener, ask
from .rounds import Rounds

__all__ = ["TASK", "Listener", "Rounds", "ask"]
