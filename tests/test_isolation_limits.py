"""What the site itself allows its sessions, where that is less than a test would get."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.utils import OperationalError

from smoketest import SmokeTest
from smoketest.results import Outcome
from tests.conftest import Outside
from tests.test_isolation import NAMES, configured, insert, made, passed, run

PATIENT = {
    "postgresql": "SELECT pg_sleep(2)",
    "mysql": "SELECT SLEEP(2)",
}
STRICT = {
    "postgresql": {"options": "-c statement_timeout=200"},
    "mysql": {"init_command": "SET max_statement_time = 0.2"},
}


def is_mariadb() -> bool:
    return bool(getattr(connection, "mysql_is_mariadb", True))


@pytest.fixture(params=["postgresql", "mysql"])
def server(request: pytest.FixtureRequest) -> str:
    """Each vendor that has a server."""
    request.getfixturevalue(request.param)
    return str(request.param)


def strict(vendor: str) -> dict[str, Any]:
    """Options by which the site lets no statement run for longer than 0.2 s."""
    if vendor == "mysql" and not is_mariadb():
        return {"init_command": "SET max_execution_time = 200"}
    return STRICT[vendor]


def test_site_that_is_stricter_than_the_limits_stays_so(server: str, outside: Outside) -> None:
    def test_waits(self: SmokeTest) -> None:
        insert(self)
        with connection.cursor() as cursor:
            cursor.execute(PATIENT[server])
            # MySQL and MariaDB end SLEEP() without an error in some places.
            if cursor.fetchone() == (1,):
                raise OperationalError("cut off")

    with configured(OPTIONS=strict(server)):
        [result] = run(made(test_waits=test_waits), timeout=8)
    assert result.outcome is Outcome.ERRORED
    assert not result.timed_out
    assert result.duration < 1.9
    assert outside(NAMES) == []


def test_session_that_is_forgotten_is_ended_by_mysql_itself(mysql: Any) -> None:
    """The net below a process that is frozen, and holds its locks."""
    variable = "idle_transaction_timeout" if is_mariadb() else "wait_timeout"
    seen: list[int] = []

    def test_asks(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT @@{variable}")
            seen.extend(cursor.fetchone())

    passed(made(test_asks=test_asks), timeout=3)
    assert 3 <= seen[0] <= 5


@pytest.mark.parametrize(
    ("set_to", "seen"), [("0", 3250), ("400ms", 400), ("2s", 2000), ("1min", 3250), ("1h", 3250)]
)
def test_the_lower_limit_is_in_force(postgresql: Any, set_to: str, seen: int) -> None:
    names = ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout")
    found: dict[str, int] = {}

    def test_asks(self: SmokeTest) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name, setting::int FROM pg_settings WHERE name = ANY(%s)", [list(names)]
            )
            found.update(cursor.fetchall())

    options = " ".join(f"-c {name}={set_to}" for name in names)
    with configured(OPTIONS={"options": options}):
        passed(made(test_asks=test_asks), timeout=3)
    assert found["lock_timeout"] == min(seen, 1000)
    for name in names[:2]:
        assert seen - 500 < found[name] <= seen
