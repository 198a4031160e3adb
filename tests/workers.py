"""Celery nodes for the tests: real workers of a project on disk, one process each and more.

The application of the project is in ``project_celery``; its package ``shop`` imports it,
as Celery's documentation has it, so every process of the project has the same.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.projects import REPOSITORY, Project
from tests.servers import _setpriv, _wait_until_up

_APPLICATION = """
    import os

    from celery import Celery

    app = Celery("shop")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    if "OLD_RELEASE" not in os.environ:
        app.autodiscover_tasks()


    @app.task(name="busy", ignore_result=True)
    def busy(folder):
        # It says that it has begun, and goes on when it is told to; both by pipes.
        open(f"{folder}/begun", "w").close()
        open(f"{folder}/end").close()


    @app.task(name="open", ignore_result=True)
    def open_now(file):
        # Tells what threads and sockets this process has, and which databases it is at.
        import json
        import threading
        import psutil
        from django.db import connections

        found = {
            "threads": sorted(one.name for one in threading.enumerate()),
            "sockets": sorted(str(one.raddr) for one in psutil.Process().net_connections()),
            "databases": [c.alias for c in connections.all() if c.connection is not None],
        }
        with open(file, "w") as pipe:
            json.dump(found, pipe)
"""


class CeleryProject(Project):
    """A project with Celery; ``settings`` name its broker and its result backend."""

    def __init__(self, folder: Path, settings: str) -> None:
        super().__init__(folder, settings)
        self.write("project_celery.py", _APPLICATION)
        self.write("shop/__init__.py", "from project_celery import app as celery_app\n")
        self.smoke(
            '''
            import os
            from pathlib import Path

            from django.db import connection

            from smoketest import SmokeTest

            class KettleTest(SmokeTest):
                def test_boils(self):
                    """Water boils, with a thread and a cursor."""
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT 1")

                def test_whistles(self):
                    """It is heard, except on the node that waits to be killed."""
                    if os.environ.get("NODE", "").startswith("killed"):
                        open(Path(__file__).parent.parent / "begun", "w").close()
                        open(Path(__file__).parent.parent / "end").close()
            '''
        )
        for pipe in ("begun", "end", "open"):
            os.mkfifo(folder / pipe)

    @contextmanager
    def set(self, **settings: object) -> Iterator[None]:
        """Add settings for processes that start within the block."""
        file = self.folder / "project_settings.py"
        before = file.read_text()
        file.write_text(before + "".join(f"\n{name} = {v!r}" for name, v in settings.items()))
        try:
            yield
        finally:
            file.write_text(before)

    def wait_until_begun(self) -> None:
        """Return when the task ``busy``, or the test on the node to be killed, has begun."""
        (self.folder / "begun").read_text()

    def left_open(self, app: Any, node: str) -> Any:
        """What the process of that node has open, whose pool is of one."""
        app.send_task("open", [str(self.folder / "open")], queue=node, ignore_result=True)
        return json.loads((self.folder / "open").read_text())

    def end(self) -> None:
        """Let it end."""
        (self.folder / "end").write_text("")

    @contextmanager
    def worker(
        self,
        node: str,
        *,
        pool: str = "prefork",
        concurrency: int = 1,
        old: bool = False,
        log: str = "",
    ) -> Iterator[Worker]:
        """A worker of that name until the block ends; it is up when its log says `` ready.``."""
        words = ["-m", "celery", "-A", "project_celery", "worker", "-P", pool, "-n", node]
        words += ["-c", str(concurrency), "-l", "INFO", "--without-gossip", "--without-mingle"]
        words += ["-Q", node]
        file = self.folder / f"{log or node}.log"
        environment = self.environment() | {"NODE": node} | ({"OLD_RELEASE": "1"} if old else {})
        with file.open("wb") as output:
            process = subprocess.Popen(
                [*_setpriv("KILL", as_nobody=False), sys.executable, "-W", "ignore", *words],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        worker = Worker(process, file)
        try:
            yield worker
        finally:
            worker.kill()


class Worker:
    """A worker's process, and those of its pool."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log

    def wait_for(self, words: str) -> None:
        """Return when ``words`` are in its log."""
        _wait_until_up(self._process, self.log, words)

    def kill(self) -> None:
        """End all of its processes at once, as the machine would that loses its power."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


__all__ = ["REPOSITORY", "CeleryProject", "Worker"]
