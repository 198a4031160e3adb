"""Says of each node what came of it, as it answers: to a person, a stream and the live line."""

from __future__ import annotations

from collections.abc import Iterator

from smoketest import fleet
from smoketest.delivery import Delivery
from smoketest.escaping import one_line, visible
from smoketest.fleet import Answer, Expectation, Judged
from smoketest.progress import LiveLine
from smoketest.terminal import Style, result_lines
from smoketest.wording import headline


class Teller:
    """Hears of each answer, and passes it on."""

    def __init__(self, delivery: Delivery, live: LiveLine, expectation: Expectation) -> None:
        self._delivery = delivery
        self._live = live
        self._expectation = expectation
        self._streams = list(delivery.streams(live))

    def on_answer(self, answer: Answer) -> None:
        """Tell what a node answered, and what that is worth."""
        judged = fleet.judge(answer, self._expectation)
        self._live.progress.on_end(answer.node, bad=not judged.passed)
        for stream in self._streams:
            for result in judged.results:
                stream(result)
        if self._delivery.verbosity >= 2:
            whole = self._delivery.verbosity >= 3
            lines = node_lines(answer, judged, self._delivery.style, whole=whole)
            self._delivery.tell(lines, self._live)


def node_lines(answer: Answer, judged: Judged, style: Style, *, whole: bool) -> Iterator[str]:
    """Yield a line on a node, and lines on what failed there; ``whole`` is every test."""
    yield f"{one_line(answer.node)} ... {_verdict(answer, judged, style)}"
    for result in judged.results:
        if result.id == fleet.ANSWER:
            yield f"    {visible(result.message)}"
        elif whole or result.bad:
            yield from (f"    {line}" for line in result_lines(result, style))


def _verdict(answer: Answer, judged: Judged, style: Style) -> str:
    report = answer.report
    if report is None:
        return style.ERROR("ERROR")
    word = style.SUCCESS("ok") if judged.passed else style.ERROR("FAIL")
    facts = [headline(report) if report.results else "the verdict alone"]
    facts += [f"release {one_line(report.release)}"] if report.release else []
    facts += [f"{report.duration:.1f} s"] if report.duration else []
    return f"{word} ({', '.join(facts)})"
