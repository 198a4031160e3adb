"""What Django remembers of rows: nothing of a test's stays in the process."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import override_settings

from smoketest import SmokeTest
from smoketest.isolation import remembering, rolled_back
from smoketest.results import Outcome
from tests.conftest import MakeApp, Outside
from tests.test_escapes import run
from tests.testapp.models import Item


def passed(body: Any) -> None:
    """Run ``body`` as a smoke test, in a thread as in production."""
    [result] = run(type("ATest", (SmokeTest,), {"__test__": False, "test_it": body}))
    assert result.outcome is Outcome.PASSED, result.traceback


def test_content_type_that_a_test_makes_is_remembered_by_nobody(
    vendor: str, outside: Outside
) -> None:
    def make(test: SmokeTest) -> None:
        ContentType.objects.create(app_label="smoke", model="made")
        made = ContentType.objects.get_by_natural_key("smoke", "made")
        test.assertIs(ContentType.objects.get_for_id(made.pk), made)

    passed(make)
    with pytest.raises(ContentType.DoesNotExist):
        ContentType.objects.get_by_natural_key("smoke", "made")


def test_content_type_that_a_test_changes_is_the_sites_own_afterwards(
    vendor: str, outside: Outside
) -> None:
    ContentType.objects.clear_cache()
    before = ContentType.objects.get_for_model(Item)

    def change(test: SmokeTest) -> None:
        changed = ContentType.objects.get_for_model(Item)
        changed.model = "changed"
        changed.save()
        ContentType.objects.clear_cache()
        test.assertEqual(ContentType.objects.get_for_id(changed.pk).model, "changed")

    passed(change)
    assert ContentType.objects.get_for_model(Item) is before
    assert before.model == "item"


@pytest.fixture
def site(vendor: str, make_app: MakeApp) -> Any:
    """The model of sites, with one site."""
    make_app("sites", installed_as="django.contrib.sites")
    module = import_module("django.contrib.sites.models")
    with connection.schema_editor() as editor:
        editor.create_model(module.Site)
    with rolled_back("installs the hooks"):
        remembering.install()
    module.Site.objects.clear_cache()
    module.Site.objects.create(pk=1, domain="site.example", name="site")
    return module.Site


@override_settings(SITE_ID=1)
def test_site_that_a_test_changes_is_the_sites_own_afterwards(site: Any) -> None:
    before = site.objects.get_current()

    def change(test: SmokeTest) -> None:
        changed = site.objects.get_current()
        changed.domain = "smoke.example"
        changed.save()
        test.assertEqual(site.objects.get_current().domain, "smoke.example")

    passed(change)
    assert site.objects.get_current() is before
    assert before.domain == "site.example"


@override_settings(SITE_ID=1)
def test_cache_of_sites_that_a_test_clears_is_not_the_sites_own(site: Any) -> None:
    before = site.objects.get_current()
    passed(lambda test: site.objects.clear_cache())
    assert site.objects.get_current() is before
    site.objects.clear_cache()
    assert site.objects.get_current() is not before
