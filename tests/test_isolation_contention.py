"""Which errors mean that somebody else held a lock, by each driver."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from django.conf import settings

from smoketest.isolation import lost_a_lock
from tests.conftest import Outside


def psycopg2_connection() -> Any:
    entry = settings.DATABASES["default"]
    return pytest.importorskip("psycopg2").connect(
        host=entry["HOST"], port=entry["PORT"], user=entry["USER"], dbname=entry["NAME"]
    )


def test_lost_lock_is_known_by_psycopg2_too(
    postgresql: Any, outside: Outside, outside_connection: Callable[..., Any]
) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('there')")
    cursor = outside_connection().cursor()
    cursor.execute("BEGIN; UPDATE testapp_item SET name = 'held'")
    with closing(psycopg2_connection()) as driver, driver.cursor() as waiting:
        waiting.execute("SET lock_timeout = 10")
        with pytest.raises(Exception, match="lock timeout") as caught:
            waiting.execute("UPDATE testapp_item SET name = 'ours'")
    assert lost_a_lock(caught.value)
