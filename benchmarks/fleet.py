"""What it takes to make one report of many, and to write it in each format.

Printed are seconds and megabytes for 1,000 nodes with 50 tests each, of which one in a
hundred nodes does not answer and one in a hundred fails a test; and the ratio to a quarter
of the nodes, which is 4 where the time is proportional.

``python benchmarks/fleet.py [NODES]``
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter

from smoketest import renderers
from smoketest.fleet import Answer, merge
from smoketest.results import Outcome, Report, TestResult

TESTS = 50
ROUNDS = 3


def answer(number: int) -> Answer:
    """Return what the node of that number answers."""
    name = f"https://10.0.{number // 256}.{number % 256}/"
    if number % 100 == 1:
        return Answer(node=name, problem="Connection refused.")
    bad = (
        {"outcome": Outcome.FAILED, "message": "0 != 1", "traceback": "Traceback\n" * 20}
        if number % 100 == 7
        else {"outcome": Outcome.PASSED}
    )
    results = [
        TestResult(id=f"shop.smoke.ShopTest.test_{each}", outcome=Outcome.PASSED, duration=0.01)
        for each in range(TESTS - 1)
    ]
    results.append(TestResult(id="shop.smoke.ShopTest.test_stock", **bad))
    told = Report.from_results(results, selected=TESTS, node=f"web-{number}", release="9f1c2ab")
    return Answer(node=name, role="web", report=told)


def fastest(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes when least disturbs it."""
    taken = []
    for _ in range(ROUNDS):
        start = perf_counter()
        work()
        taken.append(perf_counter() - start)
    return min(taken)


def main(nodes: int) -> None:
    """Measure a fleet of so many nodes, and one of a quarter."""
    many = [answer(number) for number in range(nodes)]
    few = many[: nodes // 4]
    print(f"A fleet of {nodes} nodes with {TESTS} tests each:")
    row("merge", partial(merge, many), partial(merge, few), "")
    fleet, quarter = merge(many), merge(few)
    for name in renderers.formats():
        render = renderers.get(name).render
        size = f"{len(render(fleet)) / 1e6:9.3f} MB"
        row(name, partial(render, fleet), partial(render, quarter), size)


def row(name: str, work: Callable[[], object], part: Callable[[], object], size: str) -> None:
    """Print a line on ``work``, beside a quarter of it."""
    seconds, quarter = fastest(work), fastest(part)
    print(f"  {name:10} {seconds:7.3f} s  x{seconds / quarter:4.1f} {size}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
