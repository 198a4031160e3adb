"""The page on workers, followed to its end; and what it says of messages."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from smoketest.workers import problems
from tests import servers
from tests.conftest import reachable
from tests.projects import REPOSITORY
from tests.servers import Server
from tests.test_recipes import blocks

PAGE = (REPOSITORY / "docs/how-to/workers.md").read_text()
BLOCKS = list(blocks("workers"))
COMMANDS = [line for kind, text in BLOCKS for line in text.splitlines() if kind == "shell"]
SETTINGS = """\
import os
from tests.settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "shop"]
"""
SMOKE = """
from smoketest import SmokeTest

class KettleTest(SmokeTest):
    def test_boils(self):
        pass
"""


@pytest.fixture
def redis_server() -> Iterator[Server]:
    with reachable(servers.redis()) as server:
        yield server


@pytest.fixture
def environment(tmp_path: Path, redis_server: Server) -> dict[str, str]:
    """The variables of the processes of a project that has the files of the page."""
    for kind, text in BLOCKS:
        if kind == "python":
            file = tmp_path / text.splitlines()[0].removeprefix("# ")
            file.parent.mkdir(exist_ok=True)
            file.write_text((SETTINGS if file.name == "settings.py" else "") + text)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/smoke.py").write_text(SMOKE)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(REPOSITORY)]),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "BROKER_URL": redis_server.url("redis"),
        "CACHE_URL": redis_server.url("redis") + "1",
        "RELEASE": "4f2a9c1",
    }


@contextmanager
def started(command: str, log: Path, environment: dict[str, str]) -> Iterator[None]:
    """The worker that a line of the page starts."""
    words = [sys.executable, "-W", "ignore", "-m", *shlex.split(command), "-c1", "-lINFO"]
    changed = {"PYTHONPATH", "DJANGO_SETTINGS_MODULE", "BROKER_URL", "CACHE_URL", "RELEASE"}
    variables = [f"{name}={environment[name]}" for name in changed]
    with servers.process(
        ["env", "-C", log.parent, *variables, *words], log, " ready.", "KILL", as_nobody=False
    ):
        yield


@pytest.mark.slow
def test_page_leads_from_nothing_to_a_verdict(environment: dict[str, str], tmp_path: Path) -> None:
    with ExitStack() as stack:
        for number, command in enumerate(c for c in COMMANDS if c.startswith("celery ")):
            stack.enter_context(started(command, tmp_path / f"{number}.log", environment))
        calls = [shlex.split(c)[2:] for c in COMMANDS if c.startswith("python manage.py ")]
        for words in calls:
            done = subprocess.run(
                [sys.executable, "-m", "django", *words, "-v2"],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            for node in ("worker1@kettle", "worker2@kettle"):
                assert f"{node} ... ok" in done.stdout
    assert [words[:2] for words in calls] == [["smoketest", "--workers"]] * 2


def test_page_names_the_problems_in_their_own_words() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ", PAGE.partition("it says")[2], re.MULTILINE)
    said = [value for value in vars(problems).values() if isinstance(value, str)]
    said.append(problems.refused("why"))
    for words in rows:
        assert any(words in sentence for sentence in said), words
    assert len(rows) == 6
