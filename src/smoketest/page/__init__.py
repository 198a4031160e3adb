"""The parts of the HTML page: its tests, its nodes, and the runs before this one.

``rows`` says what is shown of each test and ``markup`` writes it; ``nodes`` and ``history``
are what the templates of that name show. ``renderers.html`` puts them together.
"""

from __future__ import annotations
