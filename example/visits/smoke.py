"""Smoke tests of a second database. One file is enough for a small app."""

from __future__ import annotations

from smoketest import SmokeTest, tag

from visits.models import Visit


@tag("database")
class VisitsTest(SmokeTest):
    # Only these may be used: a query that goes to "default" by mistake is an error.
    databases = {"analytics"}

    def test_visits_can_be_read(self) -> None:
        """Somebody has been here."""
        self.assertTrue(Visit.objects.exists())

    def test_visits_can_be_written(self) -> None:
        """A visit can be recorded; it is rolled back in this database as well."""
        visit = Visit.objects.create(path="/smoke-test/")
        self.assertEqual(Visit.objects.get(pk=visit.pk).path, "/smoke-test/")
