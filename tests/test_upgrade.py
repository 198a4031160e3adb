"""A project that was written for 1.2 works unchanged: its files are below, word for word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

PROJECT = {
    "manage.py": """
        import os, sys
        from django.core.management import execute_from_command_line
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        execute_from_command_line(sys.argv)
        """,
    "config/__init__.py": "",
    "config/settings.py": """
        import os
        SECRET_KEY = "for-a-test-of-the-upgrade-only-0123456789-0123456789"
        INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "shop", "legacy"]
        if os.environ["WITH_SMOKETEST_INSTALLED"] == "True":
            INSTALLED_APPS.append("smoketest")
        SMOKETEST_SKIP_APPS = ["legacy"]
        ROOT_URLCONF = "config.urls"
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "unused.sqlite3"}}
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        USE_TZ = True
        SHOP_PRICE = 3
        """,
    "config/urls.py": """
        from django.urls import include, path
        urlpatterns = [path('smoketest/', include('smoketest.urls'))]
        """,
    "legacy/__init__.py": "",
    "legacy/smoke.py": """
        raise RuntimeError("an app that is skipped is not even imported")
        """,
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.db import models

        class Product(models.Model):
            name = models.CharField(max_length=100)
        """,
    "shop/smoke.py": """
        from django.conf import settings
        from smoketest import SmokeTest
        from .models import Product


        class ProductSmokeTest(SmokeTest):
            def setUp(self):
                self.product = Product.objects.create(name="from setUp")

            def tearDown(self):
                self.product.delete()

            def test_sees_what_the_caller_has_written(self):
                self.assertTrue(Product.objects.filter(name="of the caller").exists(), "no row")

            def test_price(self):
                self.assertEqual(settings.SHOP_PRICE, 3, "the price is wrong")

            def test_every_assertion(self):
                self.assertEqual(1, 1, "msg")
                self.assertEqual(1, 1, msg="msg")
                self.assertNotEqual(1, 2, "msg")
                self.assertTrue(1, "msg")
                self.assertFalse(0, "msg")
                self.assertIs(None, None, "msg")
                self.assertIsNot(1, None, "msg")
                self.assertIsNone(None, "msg")
                self.assertIsNotNone(1, "msg")
                self.assertIn(1, [1], "msg")
                self.assertNotIn(2, [1], "msg")
                self.assertIsInstance(1, int, "msg")
                self.assertNotIsInstance(1, str, "msg")
                self.assertRaises(ValueError, int, "x", base=10)
                self.assertAlmostEqual(1.0, 1.00000001, 7, "msg")
                self.assertNotAlmostEqual(1.0, 1.1, 7, "msg")
                self.assertGreater(2, 1, "msg")
                self.assertGreaterEqual(2, 2, "msg")
                self.assertLess(1, 2, "msg")
                self.assertLessEqual(2, 2, "msg")
        """,
    "shop/tests.py": """
        from django.test import TestCase
        from django.urls import reverse
        from .models import Product


        class SmokeTestsTest(TestCase):
            def setUp(self):
                Product.objects.create(name="of the caller")

            def test_passes(self):
                response = self.client.get("/smoketest/")
                self.assertEqual(response.status_code, 200)
                self.assertTrue("PASS" in response.content.decode())
                self.assertContains(response, "test classes: 1\\ntests run: 3\\ntests passed: 3")

            def test_leaves_nothing(self):
                self.client.get(reverse("smoketest:smoketest"))
                self.assertEqual([p.name for p in Product.objects.all()], ["of the caller"])

            def test_passes_in_json(self):
                response = self.client.get("/smoketest/", HTTP_ACCEPT="application/json")
                report = response.json()
                time = report["time"]
                self.assertTrue(time > 0)
                for key, value in {
                    "status": "PASS", "test_classes": 1, "tests_run": 3, "tests_passed": 3,
                    "tests_failed": 0, "tests_errored": 0, "failed_tests": [],
                    "errored_tests": [],
                }.items():
                    self.assertEqual(report[key], value, key)

            def test_fails(self):
                with self.settings(SHOP_PRICE=4):
                    response = self.client.get("/smoketest/")
                self.assertEqual(response.status_code, 500)
                lines = response.content.decode().splitlines()
                self.assertEqual(lines[0], "FAIL")
                self.assertIn("tests failed: 1", lines)
                self.assertIn("shop.smoke.ProductSmokeTest.test_price failed", "\\n".join(lines))
        """,
}


@pytest.mark.parametrize("installed", [False, True])
def test_project_of_1_2_works_unchanged(tmp_path: Path, installed: bool) -> None:
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(dedent(text))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")
    }
    environment["WITH_SMOKETEST_INSTALLED"] = str(installed)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", "test"],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Ran 4 tests" in ended.stderr
