"""Counting queries without a word to the rest of the process."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

import pytest
from django.core.signals import request_started
from django.db import connection, reset_queries, transaction

from smoketest import SmokeTest
from tests.testapp.models import Item


def run(body: Callable[[Any], None]) -> unittest.TestResult:
    case = type("Case", (SmokeTest,), {"test_one": body})
    result = case("test_one").run()
    assert isinstance(result, unittest.TestResult)
    return result


def test_as_many_queries_as_expected_pass(vendor: str) -> None:
    def body(self: Any) -> None:
        with self.assertNumQueries(2) as counted:
            Item.objects.count()
            Item.objects.filter(name="ring").exists()
        self.assertEqual(len(counted), 2)
        self.assertIn("ring", counted[1]["sql"])
        self.assertIs(counted.captured_queries[1], counted[1])

    assert run(body).wasSuccessful()


def test_another_number_fails_and_lists_them(sqlite: object) -> None:
    def body(self: Any) -> None:
        with self.assertNumQueries(0):
            Item.objects.filter(name="ring").exists()

    ((_, failure),) = run(body).failures
    assert "1 queries executed, 0 expected" in failure
    assert "name\" = 'ring'" in failure


def test_begin_of_the_test_is_not_counted(vendor: str) -> None:
    """As in Django's TestCase, where it is open already."""

    def body(self: Any) -> None:
        with self.assertNumQueries(3), transaction.atomic():
            Item.objects.count()

    assert run(body).wasSuccessful()


def test_function_is_called_with_its_arguments(sqlite: object) -> None:
    def body(self: Any) -> None:
        self.assertNumQueries(1, Item.objects.using("other").create, using="other", name="ring")

    assert run(body).wasSuccessful()


def test_error_in_the_block_comes_out_as_it_is(sqlite: object) -> None:
    def body(self: Any) -> None:
        with self.assertNumQueries(9):
            raise LookupError

    ((_, error),) = run(body).errors
    assert "LookupError" in error


def test_queries_of_the_next_block_are_not_counted(sqlite: object) -> None:
    def body(self: Any) -> None:
        with self.assertNumQueries(0):
            pass
        Item.objects.count()

    assert run(body).wasSuccessful()


def test_signals_of_the_process_stay_as_they_are(sqlite: object) -> None:
    def connected() -> bool:
        return reset_queries in [
            reference() if not isinstance(reference, type(reset_queries)) else reference
            for reference in (receiver[1] for receiver in request_started.receivers)
        ]

    def body(self: Any) -> None:
        with self.assertNumQueries(0):
            self.assertTrue(connected())

    assert connected()
    assert run(body).wasSuccessful()


def test_querysets_are_compared(sqlite: object) -> None:
    def body(self: Any) -> None:
        Item.objects.create(name="ring")
        self.assertQuerySetEqual(Item.objects.all(), ["ring"], transform=str)

    assert run(body).wasSuccessful()


DJANGOS_ASSERTIONS = """
    assertContains assertNotContains assertRedirects assertJSONEqual assertJSONNotEqual
    assertHTMLEqual assertXMLEqual assertInHTML assertRaisesMessage assertWarnsMessage
    assertFormError assertFormSetError assertURLEqual assertFieldOutput assertNumQueries
    assertQuerySetEqual
"""


@pytest.mark.parametrize("name", DJANGOS_ASSERTIONS.split())
def test_djangos_assertion_is_there(name: str) -> None:
    assert callable(getattr(SmokeTest, name))


def test_connection_logs_no_queries_afterwards(sqlite: object) -> None:
    def body(self: Any) -> None:
        with self.assertNumQueries(1):
            Item.objects.count()
        self.assertFalse(connection.force_debug_cursor)

    assert run(body).wasSuccessful()
