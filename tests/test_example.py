"""The example shop, as a user starts it: in processes of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.databases import MariaDB, PostgreSQL
from tests.shop import EXAMPLE, Shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop.on_sqlite(tmp_path_factory.mktemp("shop"))


def test_shop_passes(shop: Shop) -> None:
    ended = shop.manage("smoketest --format json")
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    assert report["status"] == "PASS"
    assert {test["id"].split(".")[0] for test in report["results"]} == {"shop", "visits"}
    assert report["skipped_tests"] == ["shop.smoke.checkout.PaymentTest.test_provider_answers"]
    assert report["warned_tests"] == []


def test_shop_without_its_photos_fails(shop: Shop, tmp_path: Path) -> None:
    ended = shop.manage("smoketest --format json", SHOP_MEDIA_ROOT=str(tmp_path / "absent"))
    assert ended.returncode == 1, ended.stderr
    report = json.loads(ended.stdout)
    bad = {test["id"].rpartition(".")[2]: test for test in report["results"] if test["message"]}
    assert {name for name in bad if bad[name]["outcome"] != "skipped"} == {
        "test_folder_is_mounted",
        "test_photos_can_be_read",
        "test_there_is_space_for_more",
    }
    assert str(tmp_path / "absent") in bad["test_folder_is_mounted"]["message"]
    assert bad["test_folder_is_mounted"]["runbook"] == "https://wiki.example.com/shop/photos"
    assert report["warned_tests"] == ["shop.smoke.photos.PhotosTest.test_there_is_space_for_more"]


@pytest.mark.slow
def test_shop_is_as_before_after_a_run(shop: Shop) -> None:
    dumps = [f"dumpdata --database {alias}" for alias in ("default", "analytics")]
    before = [shop.manage(dump).stdout for dump in dumps]
    assert shop.manage("smoketest").returncode == 0
    assert [shop.manage(dump).stdout for dump in dumps] == before
    assert "Brown Betty" in before[0]


def test_system_checks_of_the_shop_find_nothing(shop: Shop) -> None:
    ended = shop.manage("check --fail-level WARNING")
    assert ended.returncode == 0, ended.stderr


def test_migrations_of_the_shop_are_complete(shop: Shop) -> None:
    ended = shop.manage("makemigrations --check --dry-run")
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", [PostgreSQL, MariaDB], ids=["postgresql", "mysql"])
def test_shop_passes_on_a_database_server(
    request: pytest.FixtureRequest, kind: type[PostgreSQL] | type[MariaDB]
) -> None:
    server = request.getfixturevalue(f"{kind.vendor}_databases")["default"].server
    with ExitStack() as stack:
        names = {
            "DATABASE_URL": f"smoketest_{os.getpid()}_shop",
            "ANALYTICS_DATABASE_URL": f"smoketest_{os.getpid()}_shop_analytics",
        }
        for name in names.values():
            database = kind(name, server)
            database.create()
            stack.callback(database.drop)
        shop = Shop({var: f"{server.url(kind.vendor)}{name}" for var, name in names.items()})
        shop.set_up()
        ended = shop.manage("smoketest")
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("path", [os.environ["PATH"], "/nothing/here"], ids=["curl", "no curl"])
def test_demonstration_shows_everything_and_leaves_no_process(path: str) -> None:
    demo = subprocess.Popen(
        [sys.executable, "demo.py"],
        cwd=EXAMPLE,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    printed, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, printed
    verdicts = re.findall(r'^PASS|^FAIL|"status": "PASS"', printed, re.MULTILINE)
    # The shop, the shop broken, a new project before and after migrate, the endpoint twice.
    assert verdicts == ["PASS", "FAIL", "FAIL", "PASS", "PASS", '"status": "PASS"']
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)  # asks whether a process of its group is left
