"""How long after its limit the verdict on a test that hangs is there, and what remains.

Every kind of ``tests/hangs.py`` hangs alone, with a limit of half a second, in a run of
the command, of gunicorn's threads and of uvicorn; those in a database on SQLite,
PostgreSQL and MariaDB. Printed in milliseconds past the limit:

- *verdict*: when the result stood, by the run's own clock
- *answer*: when the caller had it, from the beginning of the run on: the response, or the
  end of the command's process

and what a look a second later finds: whether the thread has ended, and in the database
rows that were left, locks that are held, and other sessions.

What holds the interpreter's lock is cut off by ``--isolate`` in the command; in a server
it lasts two seconds here, and the verdict waits for it.

``python benchmarks/hangs.py [KIND …]``
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from tests import hangs, servers  # noqa: E402 - models can be imported now
from tests.databases import (  # noqa: E402
    Database,
    MariaDB,
    PostgreSQL,
    SQLite,
    execute,
    ready,
)
from tests.projects import Project, Served  # noqa: E402

LIMIT = 0.5
SETTLE = 1.0
"""Seconds after the answer when the remains are looked at."""

SETTINGS = """
ROOT_URLCONF = "project_urls"
SMOKETEST_LOCK_TIMEOUT = 30
SMOKETEST_TIMEOUT = 60
SMOKETEST_DEADLINE = 60
"""
URLS = """
import threading
from django.http import HttpResponse
from django.urls import include, path

def threads(request):
    return HttpResponse(str(sum(one.name == "smoketest" for one in threading.enumerate())))

urlpatterns = [path("smoketest/", include("smoketest.urls")), path("threads/", threads)]
"""
SESSIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    "mysql": "SELECT count(*) FROM information_schema.processlist"
    " WHERE db = database() AND id <> connection_id()",
}
BEGIN = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN", "mysql": "START TRANSACTION"}


class Row(NamedTuple):
    """One hang in one place."""

    kind: str
    entrance: str
    vendor: str
    verdict: float
    answer: float
    fate: str
    database: str


class Asked(NamedTuple):
    """An answer, and the seconds from the beginning of the run until it was there."""

    report: dict[str, Any]
    seconds: float


def main() -> None:
    """Hang everywhere, and print the table."""
    wanted = sys.argv[1:]
    print(f"limit {LIMIT} s; milliseconds past it; the remains {SETTLE:g} s after the answer\n")
    print(f"{'kind':30}{'entrance':10}{'database':12}{'verdict':>9}{'answer':>9}"
          f"  {'thread':20}in the database")  # fmt: skip
    for vendor in ("sqlite", "postgresql", "mysql"):
        kinds = [*hangs.EVERYWHERE, *hangs.IN_THE_INTERPRETER] if vendor == "sqlite" else []
        kinds += [*hangs.IN_A_DATABASE, hangs.IN_A_LOCK]
        with databases_of(vendor) as databases, tempfile.TemporaryDirectory() as folder:
            settings = {alias: database.settings for alias, database in databases.items()}
            os.environ["SMOKETEST_TEST_DATABASES"] = json.dumps(settings)
            os.environ["SMOKETEST_HOG_SECONDS"] = "2"
            project = Project(Path(folder), SETTINGS)
            project.smoke(hangs.SMOKE)
            (project.folder / "project_urls.py").write_text(URLS)
            for row in measured(project, databases["default"], kinds, wanted):
                print(f"{row.kind:30}{row.entrance:10}{row.vendor:12}{row.verdict:>9.1f}"
                      f"{row.answer:>9.1f}  {row.fate:20}{row.database}", flush=True)  # fmt: skip


@contextmanager
def databases_of(vendor: str) -> Iterator[dict[str, Database]]:
    """Yield the two databases of the test project on ``vendor``."""
    aliases = ("default", "other")
    if vendor == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            files = {alias: SQLite(str(Path(folder) / alias)) for alias in aliases}
            with ready(files):
                yield dict(files)
        return
    start, kind = {
        "postgresql": (servers.postgresql, PostgreSQL),
        "mysql": (servers.mariadb, MariaDB),
    }[vendor]
    with start() as server:
        made = {alias: kind(f"smoketest_{os.getpid()}_{alias}", server) for alias in aliases}
        with ready(made):
            yield dict(made)


def measured(
    project: Project, database: Database, kinds: list[str], wanted: list[str]
) -> Iterator[Row]:
    """Yield the rows of each entrance."""
    kinds = [kind for kind in kinds if not wanted or kind in wanted]
    if not kinds:
        return
    for kind in kinds:
        isolated = kind in hangs.IN_THE_INTERPRETER
        arguments = ["--isolate"] if isolated else []
        ask = lambda one, extra=arguments: command(project, one, *extra)  # noqa: E731
        yield hung("isolated" if isolated else "command", kind, database, ask, lambda: 0)
    for entrance in ("gunicorn", "uvicorn"):
        with project.served_by(entrance) as served:
            request(served, "harmless")  # the first request imports
            for kind in kinds:
                yield hung(
                    entrance, kind, database, lambda one: request(served, one),
                    lambda: int(served.get("/threads/")[1]),
                )  # fmt: skip


def hung(
    entrance: str,
    kind: str,
    database: Database,
    ask: Callable[[str], Asked],
    threads: Callable[[], int],
) -> Row:
    """Let ``kind`` hang, and look at what remains."""
    before = threads()
    with locked_row(database) if kind == hangs.IN_A_LOCK else nothing_locked():
        report, seconds = ask(kind)
        late = [one for one in report["results"] if one["timed_out"]]
        if not late:
            sys.exit(f"benchmark: {kind} did not hang: {report['results']}")
    sleep(SETTLE)
    ended = threads() <= before
    fate = "ended" if ended else "hangs on"
    if entrance in ("command", "isolated"):
        fate = "with its process"
    found = remains(database)
    verdict = 1000 * (late[0]["duration"] - LIMIT)
    answer = 1000 * (seconds - LIMIT)
    return Row(kind, entrance, database.vendor, verdict, answer, fate, found)


def command(project: Project, kind: str, *arguments: str) -> Asked:
    """Run the test by the command."""
    label = f"shop.smoke.{kind}"
    done = project.command(label, *arguments, "--timeout", str(LIMIT), "--format", "json")
    return asked(done.stdout)


def request(served: Served, kind: str) -> Asked:
    """Run the test by a request."""
    path = f"/smoketest/?format=json&timeout={LIMIT}&test=shop.smoke.{kind}"
    return asked(served.get(path)[1])


def asked(answer: str) -> Asked:
    """Return the report that has come just now."""
    now = time()
    report = json.loads(answer)
    return Asked(report, now - datetime.fromisoformat(report["started_at"]).timestamp())


@contextmanager
def nothing_locked() -> Iterator[None]:
    """Do nothing."""
    yield


@contextmanager
def locked_row(database: Database) -> Iterator[None]:
    """Hold the lock that ``row_lock`` waits for."""
    database.execute("INSERT INTO testapp_item (name) VALUES ('locked')")
    with closing(database.connect()) as connection:
        execute(connection, BEGIN[database.vendor])
        execute(connection, "UPDATE testapp_item SET name = 'locked' WHERE name = 'locked'")
        yield
        execute(connection, "ROLLBACK")
    database.execute("DELETE FROM testapp_item WHERE name = 'locked'")


def remains(database: Database) -> str:
    """Return in words what somebody else finds in the database."""
    found = []
    if rows := len(database.execute("SELECT name FROM testapp_item")):
        found.append(f"{rows} rows")
    begin = monotonic()
    database.execute("INSERT INTO testapp_item (name) VALUES ('probe')")
    database.execute("DELETE FROM testapp_item WHERE name = 'probe'")
    if (waited := monotonic() - begin) > LIMIT:
        found.append(f"a lock for {waited:.1f} s")
    if database.vendor in SESSIONS:
        ((sessions,),) = database.execute(SESSIONS[database.vendor])
        if sessions:
            found.append(f"{sessions} sessions")
    return ", ".join(found) or "nothing"


if __name__ == "__main__":
    main()
