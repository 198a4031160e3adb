"""The routes of the test project: the endpoint where the documentation puts it."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("smoketest/", include("smoketest.urls"))]
