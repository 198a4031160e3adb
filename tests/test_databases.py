"""The test databases themselves: what they promise to the other tests."""

from __future__ import annotations

import importlib
import threading

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection, connections, transaction
from django.test import override_settings

from tests.conftest import MakeApp, Outside
from tests.databases import Database
from tests.testapp.models import Item, Part


def test_vendor_is_what_both_aliases_are_connected_to(vendor: str) -> None:
    assert [connections[alias].vendor for alias in connections] == [vendor, vendor]


@pytest.mark.parametrize("time", ["first", "second"])
def test_committed_row_is_seen_outside_and_gone_in_the_next_test(
    vendor: str, outside: Outside, time: str
) -> None:
    assert not Item.objects.using("other").exists()
    item = Item.objects.using("other").create(name="kept")
    Part.objects.using("other").create(item=item, label="kept too")
    assert outside("SELECT name FROM testapp_item", "other") == [("kept",)]
    assert outside("SELECT name FROM testapp_item") == []


def test_uncommitted_row_is_not_seen_outside(vendor: str, outside: Outside) -> None:
    with transaction.atomic():
        Item.objects.create(name="pending")
        assert outside("SELECT name FROM testapp_item") == []
        transaction.set_rollback(True)


def test_row_written_outside_is_seen_in_a_thread(vendor: str, outside: Outside) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('outside')")
    seen: list[str] = []

    def look() -> None:
        seen.extend(Item.objects.values_list("name", flat=True))
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == ["outside"]


@pytest.mark.parametrize("time", ["first", "second"])
def test_table_left_by_a_test_is_dropped_after_it(vendor: str, outside: Outside, time: str) -> None:
    outside("CREATE TABLE leftover (id integer)")
    assert outside("SELECT * FROM leftover") == []


def test_every_vendor_is_there_side_by_side(every_vendor: dict[str, Database]) -> None:
    vendors = [connections[alias].vendor for alias in connections]
    assert vendors == ["sqlite", "sqlite", "postgresql", "mysql"]


@pytest.mark.django_db
def test_django_db_is_sqlite() -> None:
    assert connection.vendor == "sqlite"
    Item.objects.create(name="rolled back")


@pytest.mark.parametrize("time", ["first", "second"])
def test_app_made_in_a_test_is_installed_and_forgotten(make_app: MakeApp, time: str) -> None:
    models = "from django.db import models\nclass Thing(models.Model): pass\n"
    make_app("madeapp", {"models.py": models, "smoke/deep/er.py": f"when = {time!r}"})
    assert [model.__name__ for model in apps.get_app_config("madeapp").get_models()] == ["Thing"]
    module = importlib.import_module("madeapp.smoke.deep.er")
    assert module.when == time


@override_settings(SMOKETEST_RELEASE="of one test")
def test_app_made_under_other_settings_is_installed(make_app: MakeApp) -> None:
    make_app("madeapp")
    assert apps.is_installed("madeapp")
    assert settings.INSTALLED_APPS[-1] == "madeapp"


def test_settings_of_the_test_before_are_gone() -> None:
    assert not hasattr(settings, "SMOKETEST_RELEASE")
    assert not apps.is_installed("madeapp")
    assert "madeapp" not in settings.INSTALLED_APPS
