"""No library that caches queries keeps what a smoke test has read, and what is rolled back.

Each is the real one, in a process of its own, because it changes the whole process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests import servers
from tests.conftest import reachable
from tests.test_companions import ROOT

pytestmark = pytest.mark.slow

SMOKE = """
from django.db import transaction
from smoketest import SmokeTest
from tests.testapp.models import Item


class CachedTest(SmokeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        Item.objects.create(name="fixture")
        list(Item.objects.all())

    def test_written_and_read(self):
        Item.objects.create(name="smoke")
        self.assertEqual(Item.objects.order_by("name").count(), 2)
        self.assertEqual(len(Item.objects.order_by("name")), 2)

    def test_in_a_block(self):
        with transaction.atomic():
            Item.objects.create(name="in a block")
            self.assertEqual(len(Item.objects.order_by("-name")), 2)
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            Item.objects.create(name="in a block that fails")
            1 / 0
        self.assertEqual(len(Item.objects.order_by("pk")), 2)

    async def test_awaited(self):
        await Item.objects.acreate(name="awaited")
        self.assertEqual(len([item async for item in Item.objects.filter(pk__gt=0)]), 2)

    def test_broken(self):
        Item.objects.create(name="broken")
        len(Item.objects.reverse())
        raise KeyError
"""
READ = """
import sys

import django

django.setup()
from django.core.management import call_command
from tests.testapp.models import Item

try:
    call_command("smoketest", "shop", parallel=int(sys.argv[1]), verify=True)
except SystemExit:
    pass
seen = {
    item.name
    for items in (
        Item.objects.all(), Item.objects.order_by("name"), Item.objects.order_by("-name"),
        Item.objects.order_by("pk"), Item.objects.filter(pk__gt=0), Item.objects.reverse(),
    )
    for item in items
}
print("The site sees", sorted(seen))
Item.objects.create(name="of the site")
print("After a write,", len(Item.objects.all()), len(Item.objects.order_by("name")))
Item.objects.all().delete()
"""
QUERY_CACHES = {
    "cachalot": "INSTALLED_APPS = [*INSTALLED_APPS, 'cachalot']",
    "cacheops": """
        INSTALLED_APPS = [*INSTALLED_APPS, "cacheops"]
        CACHEOPS_REDIS = {redis!r}
        CACHEOPS = {{"*.*": {{"ops": "all", "timeout": 60}}}}
    """,
}


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with reachable(servers.redis()) as server:
        yield server.url("redis")


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("name", QUERY_CACHES)
def test_no_cache_of_queries_keeps_what_is_rolled_back(
    name: str, parallel: int, vendor: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    pytest.importorskip(name)
    settings = QUERY_CACHES[name]
    if "{redis" in settings:
        settings = settings.format(redis=request.getfixturevalue("redis_url"))
    said = run_and_read(settings, parallel, tmp_path)
    assert "1 errored" in said
    assert "The site sees []\nAfter a write, 1 1\n" in said, said


def run_and_read(settings: str, parallel: int, folder: Path) -> str:
    """Run the smoke tests, and then read as the site does, in one process; return what it says."""
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "smoke.py").write_text(SMOKE)
    (folder / "beside.py").write_text(
        "from tests.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'shop']\n"
        + dedent(settings)
    )
    done = subprocess.run(
        [sys.executable, "-c", READ, str(parallel)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), str(ROOT / "src")]),
            "PYTHONDEVMODE": "",  # what the libraries leave open is not ours to judge
            "DJANGO_SETTINGS_MODULE": "beside",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr
