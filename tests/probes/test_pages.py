"""Pages: status, text, time, and links that lead nowhere; and the pages of the admin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.db.backends.sqlite3.features import DatabaseFeatures
from django.test import override_settings

from tests.conftest import Databases, Outside
from tests.probes.running import outcomes, run
from tests.settings import INSTALLED_APPS

CONTEXT = "django.contrib.{}.context_processors.{}"


@pytest.fixture(autouse=True)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The site, with one static and one uploaded file; on SQLite, if the test does not say."""
    request.getfixturevalue("vendor" if "vendor" in request.fixturenames else "sqlite")
    for name in ("static/a.css", "media/photo.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    templates = {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                CONTEXT.format("auth", "auth"),
                CONTEXT.format("messages", "messages"),
            ]
        },
    }
    with override_settings(
        ROOT_URLCONF="tests.probes.site",
        INSTALLED_APPS=[*INSTALLED_APPS, "django.contrib.admin", "django.contrib.messages"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[templates],
        SESSION_ENGINE="django.contrib.sessions.backends.cached_db",
        STATIC_ROOT=str(tmp_path / "static"),
        STATIC_URL="/static/",
        MEDIA_ROOT=str(tmp_path / "media"),
        MEDIA_URL="/media/",
    ):
        yield tmp_path


def test_names_and_paths_with_status_and_text_pass() -> None:
    pages = [
        "home",
        "/stream/",
        ("moved", 302),
        ("/", 200, "Welcome"),
        ("/stream/", 200, "Welcome"),
    ]
    got = outcomes("Pages", pages=pages)
    assert set(got) == {
        "test_page_home",
        "test_page_stream",
        "test_page_moved",
        "test_page_root",
        "test_page_stream_2",
    }
    assert set(got.values()) == {"passed"}


def test_other_status_fails_and_tells_where_it_leads_without_a_token() -> None:
    [outcome] = outcomes("Pages", pages=["moved"]).values()
    assert outcome.startswith("failed: /moved/ answered 302 to /. The probe expects 200.")
    assert "hunter2" not in outcome


def test_missing_text_fails() -> None:
    [outcome] = outcomes("Pages", pages=[("home", 200, "Goodbye")]).values()
    assert outcome.startswith("failed: / does not contain 'Goodbye'.")


def test_slow_page_fails() -> None:
    [outcome] = outcomes("Pages", pages=["home"], max_seconds=0.0).values()
    assert outcome.startswith("failed: / took 0.")


def test_template_error_is_the_error_of_the_test() -> None:
    [result] = run("Pages", pages=["/broken/"]).values()
    assert (result.outcome, result.message) == (
        "errored",
        "django.template.exceptions.TemplateDoesNotExist: no-such.html",
    )


@pytest.mark.parametrize("page", [("home", "200"), ("home", 200, 5), ("home", 200, "", ""), 7])
def test_what_is_no_page_is_an_error_in_words(page: Any) -> None:
    [outcome] = outcomes("Pages", pages=[page]).values()
    assert outcome.startswith(f"errored: TypeError: {page!r} is no page: it is a URL name")


def test_unknown_name_fails() -> None:
    [outcome] = outcomes("Pages", pages=["hoem"]).values()
    assert outcome.startswith("failed: 'hoem' is no page: NoReverseMatch: ")


def test_crawl_reports_the_dead_links_of_this_site_only() -> None:
    [outcome] = outcomes("Pages", pages=["home"], crawl=True).values()
    assert outcome.startswith(
        "failed: / has 3 dead links: /static/gone.js (404), /gone/ (404), /broken/?page=2 (500)."
    )


def test_crawl_without_a_static_root_finds_what_runserver_serves() -> None:
    with override_settings(STATIC_ROOT=None, STATICFILES_DIRS=[settings.STATIC_ROOT]):
        [outcome] = outcomes("Pages", pages=["home"], crawl=True).values()
    assert "has 3 dead links: /static/gone.js (404)" in outcome


def test_crawl_leaves_out_what_it_is_told_to() -> None:
    left_out = ["/static/gone", "/gone/", "/broken/"]
    assert outcomes("Pages", pages=["home"], crawl=True, leave_out=left_out) == {
        "test_page_home": "passed"
    }


def test_crawl_ends_at_its_limit() -> None:
    [outcome] = outcomes("Pages", pages=["home"], crawl=True, max_links=1).values()
    assert outcome == "passed"


def test_pages_without_pages_is_an_error() -> None:
    with_class = outcomes("Pages")
    assert "it is abstract, so it needs attributes" in str(with_class)


def test_admin_pages_are_rendered_where_a_row_made_in_bulk_does_not_tell_its_key(
    sqlite: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Oracle's MySQL, which has no RETURNING."""
    monkeypatch.setattr(DatabaseFeatures, "can_return_rows_from_bulk_insert", False)
    got = outcomes("Admin", site="tests.probes.site.site")
    assert got["test_list_testapp_Item"] == "passed"


def test_admin_pages_are_rendered_and_nothing_is_left(vendor: str, outside: Outside) -> None:
    caches["default"].clear()
    got = outcomes("Admin", site="tests.probes.site.site")
    assert {name: why for name, why in got.items() if "auth_User" not in name} == {
        "test_form_testapp_Item": "passed",
        "test_form_testapp_Part": "skipped: The admin lets nobody see /admin/testapp/part/add/.",
        "test_list_testapp_Item": "passed",
        "test_list_testapp_Part": "passed",
    }
    assert outside("SELECT * FROM auth_user") == []
    assert outside("SELECT * FROM django_session") == []
    assert not caches["default"]._cache  # type: ignore[attr-defined]


def test_admin_page_that_fails_is_the_error_of_its_test() -> None:
    got = outcomes("Admin", site="tests.probes.site.site")
    assert got["test_list_auth_User"] == "errored: LookupError: no users today"
    assert got["test_form_auth_User"] == "passed"


def test_admin_that_is_not_in_the_urls_fails() -> None:
    got = outcomes("Admin", site="tests.probes.site.elsewhere")
    assert got["test_list_testapp_Item"].startswith(
        "failed: The admin has no page 'elsewhere:testapp_item_changelist': NoReverseMatch: "
    )


def test_admin_that_is_not_installed_is_an_error() -> None:
    with override_settings(INSTALLED_APPS=INSTALLED_APPS):
        assert "has no 'django.contrib.admin'" in outcomes("Admin")["test_subjects"]


def test_admin_redirect_names_the_likely_cause() -> None:
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, f"{__name__}.second_factor"]):
        got = outcomes("Admin", site="tests.probes.site.site")
    assert got["test_list_testapp_Item"].startswith(
        "failed: /admin/testapp/item/ answered 302 to a superuser. Its view, or a middleware"
    )


def second_factor(get_response: object) -> object:
    from django.shortcuts import redirect

    return lambda request: redirect("/second-factor/")
