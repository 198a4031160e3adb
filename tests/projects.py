"""A project on disk, for what can only be seen in a process of its own.

It has the settings of the tests, so it uses the databases that Django is pointed at
here, and one app, ``shop``, whose smoke module the test writes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from textwrap import dedent
from time import monotonic, sleep

REPOSITORY = Path(__file__).parent.parent

SERVERS = {
    "gunicorn": "gunicorn --worker-class gthread --threads 8 --no-control-socket"
    " --log-level warning --bind 127.0.0.1:{port} project_wsgi",
    "gunicorn-sync": "gunicorn --worker-class sync --no-control-socket --log-level warning"
    " --bind 127.0.0.1:{port} project_wsgi",
    "uvicorn": "uvicorn --log-level warning --port {port} --lifespan off project_asgi:application",
}
"""How each server is started, as ``python -m`` takes it."""

START_SECONDS = 60.0

_SETTINGS = """
    from tests.settings import *

    INSTALLED_APPS = [*INSTALLED_APPS, "shop"]
    ALLOWED_HOSTS = ["*"]
    SMOKETEST_ANONYMOUS = "details"
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"class": "logging.StreamHandler"}},
        "loggers": {"smoketest": {"handlers": ["stderr"], "level": "INFO"}},
    }
"""
_ENTRANCE = """
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project_settings")
    from django.core.{kind} import get_{kind}_application

    application = get_{kind}_application()
"""


_BARE_SETTINGS = """
    SECRET_KEY = "bare"
    INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "smoketest", "shop"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
    USE_TZ = True
"""


def write_bare_project(folder: Path, files: Mapping[str, str]) -> None:
    """Write a project with nothing in it but us, an app ``shop``, SQLite and ``files``.

    Its settings are the module ``settings``, for whoever measures without those of the tests.
    """
    bare = {"settings.py": _BARE_SETTINGS, "shop/__init__.py": ""}
    for path, text in {**bare, **files}.items():
        _write(folder / path, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")


class Project:
    """A project in ``folder``; ``settings`` are further lines of its settings."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder
        _write(folder / "project_settings.py", dedent(_SETTINGS) + dedent(settings))
        for kind in ("wsgi", "asgi"):
            _write(folder / f"project_{kind}.py", _ENTRANCE.format(kind=kind))
        _write(folder / "shop/__init__.py", "")

    def smoke(self, text: str) -> None:
        """Let ``text`` be the app's smoke module."""
        self.write("shop/smoke.py", text)

    def write(self, path: str, text: str) -> None:
        """Let ``text``, without its indentation, be the file ``path`` of the project."""
        _write(self.folder / path, text)

    def environment(self) -> dict[str, str]:
        """The variables with which a process belongs to the project."""
        path = [str(self.folder), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "DJANGO_SETTINGS_MODULE": "project_settings",
        }

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """Start ``python -m arguments``, with its output in pipes."""
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            [sys.executable, "-m", *arguments],
            env=self.environment(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py smoketest arguments`` to its end."""
        with self.start("django", "smoketest", *arguments) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    @contextmanager
    def served_by(self, server: str, *options: str) -> Iterator[Served]:
        """Serve it with one of :data:`SERVERS`, and further ``options``, until the block ends."""
        port = free_port()
        log = self.folder / f"{server}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", *SERVERS[server].format(port=port).split(), *options],
                env=self.environment(),
                cwd=self.folder,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        served = Served(process, port, log)
        try:
            served.wait_until_up()
            yield served
        finally:
            served.kill()


class Served:
    """A running server of a project."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    def get(self, path: str, timeout: float = 60.0) -> tuple[int, str]:
        """Return status and body of ``path``."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(errors="replace")

    def wait_until_up(self) -> None:
        """Return when it answers."""
        until = monotonic() + START_SECONDS
        while self.process.poll() is None and monotonic() < until:
            try:
                self.get("/smoketest/?list=1")
            except OSError:
                sleep(0.05)
            else:
                return
        raise RuntimeError(f"The server did not start:\n{self.log()}")

    def workers(self) -> list[int]:
        """The processes that handle requests: gunicorn's children, or the server itself."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()] or [self.process.pid]

    def kill(self) -> None:
        """End it and its workers at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
