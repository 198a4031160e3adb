"""Aliases that a test declares as ``alias:ro``."""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from time import monotonic
from typing import Any

import pytest
from django.test.runner import DiscoverRunner

from smoketest import SmokeTest, isolation
from smoketest.options import Options
from smoketest.results import Outcome, TestResult
from smoketest.scheduling import Run, execute
from tests.conftest import Outside
from tests.testapp.models import Item


class ReadsOnlyTest(SmokeTest):
    """Reads the one database and writes to the other."""

    __test__ = False  # for pytest
    databases = ("default:ro", "other")

    def test_reads(self) -> None:
        """A read-only alias can be read."""
        self.assertEqual(Item.objects.count(), 1)

    def test_writes(self) -> None:
        """A read-only alias cannot be written to."""
        Item.objects.create(name="smoke")

    def test_writes_to_other(self) -> None:
        """The other alias is not affected."""
        Item.objects.using("other").create(name="smoke")


class WritesAfterwardsTest(SmokeTest):
    """Has the connection after those."""

    __test__ = False

    def test_writes(self) -> None:
        """The connection can write again."""
        Item.objects.create(name="smoke")


def results(*tests: SmokeTest) -> Sequence[TestResult]:
    options = Options(parallel=1)
    found, _ = execute(Run(tests, options, monotonic() + options.deadline))
    return found


def test_server_refuses_writes_to_read_only_alias(vendor: str, outside: Outside) -> None:
    outside("INSERT INTO testapp_item (name) VALUES ('there')")
    names = ("test_reads", "test_writes", "test_writes_to_other")
    reads, writes, other, afterwards = results(
        *map(ReadsOnlyTest, names), WritesAfterwardsTest("test_writes")
    )
    assert reads.outcome is Outcome.PASSED, reads.message
    assert writes.outcome is Outcome.ERRORED
    assert "read" in writes.message.lower(), writes.message
    assert other.outcome is Outcome.PASSED, other.message
    assert afterwards.outcome is Outcome.PASSED, afterwards.message
    assert outside("SELECT name FROM testapp_item") == [("there",)]


def test_unknown_alias_is_an_error_that_names_a_near_one(sqlite: object) -> None:
    class MisspeltTest(SmokeTest):
        databases = ("defualt:ro",)

        def test_reads(self) -> None:
            """Never gets so far."""

    (result,) = results(MisspeltTest("test_reads"))
    assert result.outcome is Outcome.ERRORED
    assert "'defualt'" in result.message
    assert "Did you mean 'default'?" in result.message


@pytest.mark.parametrize("declared", [("default:ro",), ["default", "default:ro"]])
def test_read_only_alias_is_an_alias_to_other_runners(declared: Any) -> None:
    mixin: Any = type("Mixin", (), {"databases": declared})
    reads: Any = type("ReadsTest", (mixin, SmokeTest), {"test_reads": lambda self: None})
    still_reads: Any = type("StillReadsTest", (reads,), {})
    for cls in (reads, still_reads):
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(cls)
        assert list(DiscoverRunner().get_databases(suite)) == ["default"]
        known, read_only = isolation.aliases(cls.databases)
        assert (*known, *read_only) == ("default", "default")
