"""Runs beside the site, and beside each other, on the same tables."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.conftest import Outside
from tests.projects import Project, Served

pytestmark = pytest.mark.slow

RUNS = 100
CLIENTS = 4
LOCK_TIMEOUT = 2.0
"""Seconds: the default of SMOKETEST_LOCK_TIMEOUT."""
SEVERAL = 5.0
"""Seconds that a machine with much to do may need beside all waiting."""

SETTINGS = """
    ROOT_URLCONF = "project_urls"
    MIDDLEWARE = []
"""
URLS = """
    import uuid
    from django.db import transaction
    from django.http import HttpResponse
    from django.urls import include, path
    from tests.testapp.models import Item

    def buy(request):
        '''What a shop does: a row that everybody changes, and some of its own.'''
        name = uuid.uuid4().hex
        Item.objects.create(name=name)
        with transaction.atomic():
            Item.objects.filter(name="hot").update(name="hot")
            Item.objects.filter(name=name).delete()
        return HttpResponse(str(Item.objects.filter(name="hot").count()))

    urlpatterns = [path("smoketest/", include("smoketest.urls")), path("buy/", buy)]
"""
SMOKE = """
    import uuid
    from django.db import transaction
    from smoketest import SmokeTest
    from tests.testapp.models import Item

    class ShopTest(SmokeTest):
        def buy(self):
            with transaction.atomic():
                Item.objects.filter(name="hot").update(name="hot")
                Item.objects.create(name=uuid.uuid4().hex)
            self.assertEqual(Item.objects.filter(name="hot").count(), 1)

        def test_1(self): self.buy()
        def test_2(self): self.buy()
        def test_3(self): self.buy()
        def test_4(self): self.buy()

        def test_by_request(self):
            self.assertEqual(self.client.get("/buy/").content, b"1")
"""


@contextmanager
def buying(served: Served) -> Iterator[list[tuple[int, str, float]]]:
    """Let clients buy for as long as the block lasts; yields what they got, and the seconds."""
    answers: list[tuple[int, str, float]] = []
    over = threading.Event()

    def buy() -> None:
        while not over.is_set():
            start = time.perf_counter()
            answers.append((*served.get("/buy/"), time.perf_counter() - start))

    clients = [threading.Thread(target=buy) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield answers
    finally:
        over.set()
        for client in clients:
            client.join()


def test_site_feels_nothing_of_a_hundred_runs_in_its_own_process(
    vendor: str, tmp_path: Path, outside: Outside
) -> None:
    project = Project(tmp_path, SETTINGS)
    (project.folder / "project_urls.py").write_text(dedent(URLS), encoding="utf-8")
    project.smoke(SMOKE)
    outside("INSERT INTO testapp_item (name) VALUES ('hot')")
    with project.served_by("gunicorn") as served, buying(served) as answers:
        reports = [json.loads(served.get("/smoketest/?format=json")[1]) for _ in range(RUNS)]
    assert [report["status"] for report in reports] == ["PASS"] * RUNS
    assert len(answers) > RUNS
    assert {answer[:2] for answer in answers} == {(200, "1")}, served.log()
    if vendor != "sqlite":  # it has no queue: who may write next is chance, among the clients too
        assert max(seconds for _, _, seconds in answers) < LOCK_TIMEOUT
    assert outside("SELECT name FROM testapp_item") == [("hot",)]


CROSSWISE = """
    import time
    from pathlib import Path
    from smoketest import SmokeTest
    from tests.testapp.models import Item

    class CrossTest(SmokeTest):
        def lock(self, first, second):
            Item.objects.filter(name=first).update(name=first)
            Path(__file__).with_name(first).touch()
            until = time.monotonic() + 1
            while not Path(__file__).with_name(second).exists() and time.monotonic() < until:
                time.sleep(0.01)
            Item.objects.filter(name=second).update(name=second)

        def test_ab(self): self.lock("a", "b")
        def test_ba(self): self.lock("b", "a")
"""


def test_two_runs_that_lock_crosswise_end_at_the_lock_timeout(
    vendor: str, tmp_path: Path, outside: Outside
) -> None:
    project = Project(tmp_path, f"SMOKETEST_LOCK_TIMEOUT = {LOCK_TIMEOUT}")
    project.smoke(CROSSWISE)
    outside("INSERT INTO testapp_item (name) VALUES ('a'), ('b')")
    reports: dict[str, Any] = {}

    def run(name: str) -> None:
        done = project.command("shop", "-k", name, "--format", "json")
        reports[name] = json.loads(done.stdout)["results"][0]

    threads = [threading.Thread(target=run, args=[name]) for name in ("test_ab", "test_ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lost = [result for result in reports.values() if result["outcome"] != "passed"]
    assert len(lost) <= 1, reports
    assert all("lock" in result["message"].lower() for result in lost)
    assert all(not result["timed_out"] for result in reports.values())
    assert max(result["duration"] for result in reports.values()) < LOCK_TIMEOUT + 1 + SEVERAL
    assert outside("SELECT name FROM testapp_item ORDER BY name") == [("a",), ("b",)]
