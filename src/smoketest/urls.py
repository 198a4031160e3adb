"""The one route: ``path("smoketest/", include("smoketest.urls"))``."""

from __future__ import annotations

from django.urls import path

from smoketest.views import IndexView

app_name = "smoketest"

urlpatterns = [path("", IndexView.as_view(), name="smoketest")]
