"""Who may ask, and how much of the answer they see."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject

from smoketest import access, renderers
from smoketest.access import Access, Denied
from smoketest.renderers.github import GitHubRenderer
from smoketest.results import Detail, Node, Outcome, Report, TestResult

OLD, NEW = "an-old-token-0123456789", "a-new-token-0123456789"
TRUSTED = Access(Detail.DETAILS, trusted=True)
tokens = override_settings(SMOKETEST_TOKENS=[OLD, NEW])


def asking(user: object = None, **headers: Any) -> HttpRequest:
    request = RequestFactory().get("/", **headers)
    if user is not None:
        request.user = user  # type: ignore[assignment]
    return request


def user(**values: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"is_authenticated": True, "is_active": True} | values)


@pytest.mark.parametrize(
    ("setting", "detail"),
    [
        ("details", Detail.DETAILS),
        ("summary", Detail.SUMMARY),
        ("verdict", Detail.VERDICT),
    ],
)
def test_an_anonymous_caller_gets_what_the_setting_says(setting: str, detail: Detail) -> None:
    with override_settings(SMOKETEST_ANONYMOUS=setting):
        assert access.decide(asking()) == Access(detail)


@override_settings(SMOKETEST_ANONYMOUS="deny")
def test_under_deny_an_anonymous_caller_is_refused() -> None:
    with pytest.raises(Denied, match="without credentials"):
        access.decide(asking())


@tokens
@pytest.mark.parametrize("setting", ["details", "summary", "verdict", "deny"])
@pytest.mark.parametrize("token", [OLD, NEW])
def test_each_token_shows_everything_whatever_anonymous_callers_get(
    setting: str, token: str
) -> None:
    with override_settings(SMOKETEST_ANONYMOUS=setting):
        assert access.decide(asking(HTTP_AUTHORIZATION=f"Bearer {token}")) == TRUSTED


@tokens
@pytest.mark.parametrize(
    "header", [f"bearer {OLD}", f"BEARER   {OLD} ", f" Bearer {OLD}", f"Bearer\t{OLD}"]
)
def test_the_scheme_is_read_in_any_case_and_spacing(header: str) -> None:
    assert access.decide(asking(HTTP_AUTHORIZATION=header)) == TRUSTED


@tokens
@override_settings(SMOKETEST_ANONYMOUS="details", DEBUG=True)
@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer\twrong",
        f"Bearer {OLD} {NEW}",
        f"Bearer {OLD},",
        f"Bearer {OLD[:-1]}",
        "Bearer caf\xe9",
        "Bearer \u2603",
        "Bearer \ud800",
        "Bearer \x00",
        "Bearer " + "x" * 100_000,
    ],
)
def test_a_wrong_or_malformed_token_is_refused_and_not_repeated(header: str) -> None:
    with pytest.raises(Denied) as caught:
        access.decide(asking(user(is_staff=True), HTTP_AUTHORIZATION=header))
    assert (
        header.removeprefix("Bearer ")[:20] not in str(caught.value) or header.strip() == "Bearer"
    )


def test_without_any_configured_token_no_token_is_right() -> None:
    with pytest.raises(Denied):
        access.decide(asking(HTTP_AUTHORIZATION="Bearer "))


@pytest.mark.parametrize(
    "sent", ["sésame-ouvre-toi-là", "sésame-ouvre-toi-là".encode().decode("latin-1")]
)
@override_settings(SMOKETEST_TOKENS=["sésame-ouvre-toi-là"])
def test_a_token_beyond_ascii_is_compared_by_its_bytes(sent: str) -> None:
    # Servers hand the bytes of a header over as latin-1.
    as_sent = asking(HTTP_AUTHORIZATION=f"Bearer {sent}")
    if sent == "sésame-ouvre-toi-là":
        with pytest.raises(Denied):
            access.decide(as_sent)
    else:
        assert access.decide(as_sent) == TRUSTED


@tokens
@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "", "   ", "Digest x=y", "Bearerish x"])
def test_a_header_of_another_scheme_is_not_ours(header: str) -> None:
    assert access.decide(asking(HTTP_AUTHORIZATION=header)) == Access(Detail.SUMMARY)


@tokens
def test_a_valid_token_does_not_touch_the_user() -> None:
    def explode() -> User:
        raise AssertionError("the user was loaded")

    request = asking(SimpleLazyObject(explode), HTTP_AUTHORIZATION=f"Bearer {OLD}")
    assert access.decide(request) == TRUSTED


@override_settings(SMOKETEST_TOKENS=OLD)
def test_a_string_of_tokens_lets_nobody_in() -> None:
    with pytest.raises(ImproperlyConfigured, match="SMOKETEST_TOKENS"):
        access.decide(asking(HTTP_AUTHORIZATION=f"Bearer {OLD[0]}"))


@override_settings(DEBUG=True, SMOKETEST_ANONYMOUS="deny")
def test_debug_shows_everything_and_trusts_nobody() -> None:
    assert access.decide(asking()) == Access(Detail.DETAILS, trusted=False)


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (user(is_staff=True), TRUSTED),
        (user(is_staff=False), Access(Detail.SUMMARY)),
        (user(is_staff=True, is_active=False), Access(Detail.SUMMARY)),
        (user(is_staff=True, is_authenticated=False), Access(Detail.SUMMARY)),
        (user(), Access(Detail.SUMMARY)),
        (AnonymousUser(), Access(Detail.SUMMARY)),
        (object(), Access(Detail.SUMMARY)),
    ],
)
def test_without_a_permission_active_staff_sees_everything(who: object, expected: Access) -> None:
    assert access.decide(asking(who)) == expected


@pytest.mark.django_db
@override_settings(SMOKETEST_PERMISSION="auth.view_user")
@pytest.mark.parametrize(
    ("values", "granted", "expected"),
    [
        ({}, True, TRUSTED),
        ({}, False, Access(Detail.SUMMARY)),
        ({"is_staff": True}, False, Access(Detail.SUMMARY)),
        ({"is_superuser": True}, False, TRUSTED),
        ({"is_superuser": True, "is_active": False}, True, Access(Detail.SUMMARY)),
    ],
)
def test_with_a_permission_only_an_active_user_who_has_it_sees_everything(
    values: dict[str, bool], granted: bool, expected: Access
) -> None:
    who = User.objects.create(username="ann", **values)
    if granted:
        from django.contrib.contenttypes.models import ContentType

        kind = ContentType.objects.get_for_model(User)
        wanted, _ = Permission.objects.get_or_create(codename="view_user", content_type=kind)
        who.user_permissions.add(wanted)
    assert access.decide(asking(User.objects.get(pk=who.pk))) == expected


@override_settings(SMOKETEST_ANONYMOUS="deny")
def test_a_user_without_the_right_is_as_anonymous_as_nobody() -> None:
    with pytest.raises(Denied, match="without credentials"):
        access.decide(asking(user(is_staff=False)))


def test_a_user_who_cannot_be_loaded_is_anonymous_and_the_reason_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def load() -> User:
        raise OperationalError("the database is down")

    with caplog.at_level(logging.WARNING, "smoketest"):
        assert access.decide(asking(SimpleLazyObject(load))) == Access(Detail.SUMMARY)
    assert "the database is down" in caplog.text


SECRET = "MARKED"
NODE = Node(name=SECRET, role="web", problem=SECRET, host=SECRET, release=SECRET, pid=4711)
FULL = Report.from_results(
    [
        TestResult(
            id="shop.smoke.T.test",
            outcome=Outcome.FAILED,
            description=SECRET,
            tags=(SECRET,),
            message=SECRET,
            traceback=SECRET,
            file=SECRET,
            line=77,
            runbook=SECRET,
            duration=0.5,
            timed_out=True,
            retried=True,
            node=SECRET,
        )
    ],
    selected=1,
    started_at=datetime(2026, 11, 22, tzinfo=UTC),
    duration=1.5,
    release=SECRET,
    node=SECRET,
    pid=4711,
    deadline=25.0,
    cached=True,
    age=0.25,
    shared=True,
    nodes=(NODE,),
)


def test_details_are_the_report_itself() -> None:
    assert access.trim(FULL, Detail.DETAILS) is FULL


def test_a_summary_has_verdict_counts_times_ids_and_outcomes_only() -> None:
    summary = access.trim(FULL, Detail.SUMMARY)
    assert SECRET not in repr(summary.to_dict())
    assert (summary.pid, summary.results[0].line) == (0, 0)
    hidden = {"release", "node", "pid", "nodes", "results", "detail"}
    kept = {f.name for f in fields(Report)} - hidden
    assert {name: getattr(summary, name) for name in kept} == {
        name: getattr(FULL, name) for name in kept
    }
    assert summary.detail is Detail.SUMMARY
    assert summary.results[0] == TestResult(
        id="shop.smoke.T.test",
        outcome=Outcome.FAILED,
        duration=0.5,
        timed_out=True,
        retried=True,
    )


def test_a_verdict_has_nothing_but_itself() -> None:
    assert access.trim(FULL, Detail.VERDICT) == Report(passed=False, detail=Detail.VERDICT)


def test_trimming_never_changes_the_verdict() -> None:
    passed = Report.from_results([TestResult(id="a.b", outcome=Outcome.PASSED)], selected=1)
    assert [access.trim(passed, detail).status for detail in Detail] == ["PASS"] * 3
    assert [access.trim(FULL, detail).status for detail in Detail] == ["FAIL"] * 3


def in_every_format(report: Report) -> dict[str, str]:
    """What each renderer of the registry, and each variant of one, makes of ``report``."""
    found = [renderers.get(name) for name in renderers.formats()]
    variants = [one for renderer in found for one in getattr(renderer, "variants", ())]
    written = {one.media_type + one.format: one.render(report) for one in [*found, *variants]}
    return written | {"summary": GitHubRenderer().summary(report)}


ALL_OUTCOMES = Report.from_results(
    [
        replace(
            FULL.results[0],
            id=f"shop.smoke.T.test_{outcome}_{optional}",
            outcome=outcome,
            optional=optional,
        )
        for outcome in Outcome
        for optional in (True, False)
    ],
    selected=99,
    release=SECRET,
    node=SECRET,
    pid=4711,
)


def test_the_marks_of_the_leak_test_are_in_what_a_trusted_caller_gets() -> None:
    assert [
        name for name, text in in_every_format(ALL_OUTCOMES).items() if SECRET not in text
    ] == []


@pytest.mark.parametrize("nodes", [(), (NODE,), (NODE, replace(NODE, passed=True, problem=""))])
@pytest.mark.parametrize("detail", [Detail.SUMMARY, Detail.VERDICT])
def test_no_format_shows_a_stranger_what_was_trimmed(
    detail: Detail, nodes: tuple[Node, ...]
) -> None:
    full = replace(ALL_OUTCOMES, nodes=nodes)
    for name, text in in_every_format(access.trim(full, detail)).items():
        assert SECRET not in text, name
        assert "4711" not in text, name
        assert ("shop" in text) is (detail is Detail.SUMMARY), name
