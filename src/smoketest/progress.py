"""The live line of a run on a terminal: how far it is, what failed, what runs now.

It is drawn by a thread of its own, ten times a second, so that a test that hangs
is seen to hang. With rich (the extra ``cli``) it has a bar and colours.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from smoketest.escaping import one_line
from smoketest.results import TestResult

INTERVAL = 0.1
"""Seconds from one picture to the next."""


class Stream(Protocol):
    """What a line is drawn on."""

    def write(self, text: str, /) -> object:
        """Write ``text``, and nothing after it."""

    def fileno(self) -> int:
        """Return the file descriptor."""


def is_wanted(stream: Any, verbosity: int, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a person looks at ``stream`` who did not ask for silence."""
    on_terminal = stream.isatty() and environment.get("TERM") not in ("dumb", "")
    return verbosity > 0 and on_terminal and not environment.get("CI")


@dataclass
class Progress:
    """How far a run is. Its methods are the callbacks of ``runner.run``."""

    deadline: float
    """Seconds."""
    total: int = 0
    done: int = 0
    failed: int = 0
    """Failed and errored, without those that are only warned of."""
    started: float = field(default_factory=monotonic)
    running: dict[str, None] = field(default_factory=dict)
    """The ids of the tests that run now, in the order in which they began."""
    of_nodes: bool = False
    """Whether nodes are asked and the ids are their names, instead of tests run."""

    def on_start(self, ids: list[str]) -> None:
        """Begin, or begin again with what is run once more."""
        if self.total:
            self.started = monotonic()
        self.total, self.done, self.failed = len(ids), 0, 0
        self.running.clear()

    def on_begin(self, id: str) -> None:
        """Take note of a test that runs now; called on any thread."""
        self.running[id] = None

    def on_asked(self, id: str) -> None:
        """Take note of one more node that is asked, where it is not known before how many."""
        self.total += 1
        self.on_begin(id)

    def on_result(self, result: TestResult) -> None:
        """Take note of a test that ended."""
        self.on_end(result.id, bad=result.fails_run)

    def on_end(self, id: str, *, bad: bool) -> None:
        """Take note that a test, or the answer of a node, is there."""
        self.done += 1
        self.failed += bad
        self.running.pop(id, None)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return monotonic() - self.started

    def counts(self) -> str:
        """Return for example ``3/14, 1 failed, 2.4/25 s``."""
        if not self.total:
            what = "nodes" if self.of_nodes else "tests"
            return f"looking for {what}, {self.elapsed:.1f}/{self.deadline:g} s"
        noun = " nodes" if self.of_nodes else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}/{self.total}{noun}{failed}, {self.elapsed:.1f}/{self.deadline:g} s"

    def names(self) -> str:
        """Return the class and the method of each test that runs now, or the nodes."""
        shown = list(self.running)
        if not self.of_nodes:
            shown = [".".join(id.split(".")[-2:]) for id in shown]
        return ", ".join(map(one_line, shown))


Draw = Callable[[Progress, int], str]
"""Returns the picture of a progress in so many columns."""


class LiveLine:
    """A line at the end of a terminal that shows a progress until it is closed.

    Without ``draw`` there is none, and nothing is written.
    """

    def __init__(self, progress: Progress, stream: Stream, draw: Draw | None) -> None:
        self.progress = progress
        self._stream = stream
        self._draw = draw
        self._over = threading.Event()
        self._drawing = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="smoketest-progress", daemon=True)

    def __enter__(self) -> LiveLine:
        if self._draw is not None:
            try:
                self._thread.start()
            except RuntimeError:  # the machine has no thread left: the report needs no line
                self._draw = None
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        if self._draw is not None:
            self._thread.join()
            self._stream.write(ERASE)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Clear the line while something else is written to the terminal."""
        with self._drawing:
            if self._draw is not None:
                self._stream.write(ERASE)
            yield

    def _run(self) -> None:
        while not self._over.wait(INTERVAL):
            with self._drawing:
                self._stream.write(ERASE + self._picture())

    def _picture(self) -> str:
        return self._draw(self.progress, width(self._stream)) if self._draw else ""


ERASE = "\r\x1b[K"
"""Go to the beginning of the line, and clear it."""


def width(stream: Stream) -> int:
    """Return the columns that a line may have on ``stream`` without being broken."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = 0
    return (columns or shutil.get_terminal_size().columns) - 1


def drawing(*, colour: bool) -> Draw:
    """Return how to draw here: with rich where it is installed, else in plain text."""
    try:
        import rich  # noqa: F401
    except ImportError:
        return plain
    return _Rich(colour).draw


def plain(progress: Progress, columns: int) -> str:
    """Draw without rich: ``3/14, 1 failed, 2.4/25 s: CatalogueTest.test_read``."""
    names = progress.names()
    text = f"{progress.counts()}: {names}" if names else progress.counts()
    return text if len(text) <= columns else f"{text[: columns - 1]}…"


class _Rich:
    """Draws with rich: a bar, then what :func:`plain` has."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def draw(self, progress: Progress, columns: int) -> str:
        from rich.console import Console
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        console = Console(
            width=columns,
            color_system="standard" if self._colour else None,
            force_terminal=True,
        )
        style = "red" if progress.failed else "green"
        words = Text.assemble((f" {progress.counts()} ", style), (progress.names(), "dim"))
        words.truncate(columns - _BAR, overflow="ellipsis")
        bar = ProgressBar(
            total=progress.total or 1,
            completed=progress.done,
            width=_BAR,
            complete_style=style,
            finished_style=style,
        )
        with console.capture() as captured:
            console.print(bar, words, sep="", end="", soft_wrap=True)
        return captured.get()


_BAR = 12
"""Columns."""
