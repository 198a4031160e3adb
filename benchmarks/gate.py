"""What it takes to ask a fleet: seconds after the deadline, memory and processor time.

The nodes are those of ``tests/crowd.py``: each has an address of the loopback. Most of them
answer after 0 to 500 ms; of a hundred, one refuses, one never answers, and one answers with
garbage. As some never answer, the gate goes on until its deadline; what counts is how long
after it the process is over, its report written.

``python benchmarks/gate.py [NODES [DEADLINE]]``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import time

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))

from tests.crowd import crowd, urls  # noqa: E402

NODES = (10, 1_000)
DEADLINE = 10.0
"""Seconds."""


def main() -> None:
    """Measure, and print."""
    sizes = [int(sys.argv[1])] if len(sys.argv) > 1 else NODES
    deadline = float(sys.argv[2]) if len(sys.argv) > 2 else DEADLINE
    for nodes in sizes:
        measure(nodes, deadline)


def measure(nodes: int, deadline: float) -> None:
    """Ask so many nodes, and print what it took."""
    with tempfile.TemporaryDirectory() as name, crowd() as (port, asked):
        listed, printed = Path(name) / "nodes", Path(name) / "printed"
        listed.write_text("\n".join(urls(nodes, port)))
        words = ["--nodes-file", str(listed), "--deadline", str(deadline)]
        with printed.open("w") as out:
            process = subprocess.Popen([sys.executable, "-m", "smoketest", *words], stdout=out)
            _, status, used = os.wait4(process.pid, 0)
        late = time() - float(asked.readline()) - deadline
        headline = printed.read_text().partition("\n")[0]
    print(
        f"gate: {nodes:,} nodes: over {late:+.2f} s after the deadline of {deadline:g} s,"
        f" exit status {os.waitstatus_to_exitcode(status)}; {used.ru_maxrss / 1024:.0f} MiB,"
        f" {used.ru_utime + used.ru_stime:.2f} s of processor time\n    {headline}"
    )


if __name__ == "__main__":
    main()
