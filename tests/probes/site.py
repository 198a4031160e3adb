"""A site with good pages and bad ones, and an admin; for ROOT_URLCONF."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template import Context, Template
from django.urls import path

from tests.testapp.models import Item, Part

HOME = """
<html><head><link href="/static/a.css" rel="stylesheet">
<script src="/static/gone.js"></script></head>
<body>Welcome <a href="/stream/">stream</a> <a href="#top">top</a> <a href="/">home</a>
<a href="https://elsewhere.example/dead/">elsewhere</a> <a href="mailto:bob@example.com">Bob</a>
<a href="gone/">gone</a> <a href="/broken/?page=2">broken</a>
<img src="/media/photo.jpg"></body></html>
"""


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(HOME)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse([b"Wel", b"come"])


def moved(request: HttpRequest) -> HttpResponse:
    return redirect("/?token=hunter2")


def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse(Template("{% include 'no-such.html' %}").render(Context()))


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Lets nobody add."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


class Broken(admin.ModelAdmin):  # type: ignore[type-arg]
    """Has a list that fails."""

    def get_queryset(self, request: HttpRequest) -> Any:
        raise LookupError("no users today")


site = admin.AdminSite(name="admin")
site.register(Item)
site.register(Part, ReadOnly)
site.register(User, Broken)

elsewhere = admin.AdminSite(name="elsewhere")
elsewhere.register(Item)

urlpatterns = [
    path("", home, name="home"),
    path("stream/", stream),
    path("moved/", moved, name="moved"),
    path("broken/", broken),
    path("admin/", site.urls),
]
