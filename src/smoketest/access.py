"""Who may run the tests over HTTP, and how much of the report they see."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from django.conf import settings as django_settings
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from smoketest import errands, isolation
from smoketest.conf import settings
from smoketest.exceptions import SmokeTestError
from smoketest.past import Past
from smoketest.results import Detail, Report, TestResult

logger = logging.getLogger("smoketest")


class Denied(SmokeTestError):
    """The caller may not run the tests. No message repeats what the caller sent."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may do."""

    detail: Detail
    """How much of a report they see."""
    trusted: bool = False
    """Whether they came with credentials; with DEBUG alone nobody is trusted."""


def decide(request: HttpRequest) -> Access:
    """Return what the caller may see; raise :class:`Denied` where they may not even ask.

    It runs no test, and needs a database only for a caller who comes with a session.
    Raises ``ImproperlyConfigured`` where a setting that counts is unusable.
    """
    if _has_token(request) or _is_permitted(request):
        return Access(Detail.DETAILS, trusted=True)
    if django_settings.DEBUG:
        return Access(Detail.DETAILS)
    if settings.anonymous == "deny":
        raise Denied(
            "This site does not show the result of its smoke tests without credentials. "
            "Send the header 'Authorization: Bearer TOKEN' with one of SMOKETEST_TOKENS, "
            "or log in as a user that SMOKETEST_PERMISSION admits."
        )
    return Access(Detail(settings.anonymous))


def trim(report: Report, detail: Detail) -> Report:
    """Return what a reader with ``detail`` may see of ``report``.

    What may be seen is named here field by field, so a field that is added to the
    report later stays hidden until somebody decides otherwise.
    """
    if detail is Detail.DETAILS:
        return report
    if detail is Detail.VERDICT:
        return Report(passed=report.passed, detail=detail)
    return Report(
        passed=report.passed,
        counts=report.counts,
        results=tuple(map(_summarized, report.results)),
        selected=report.selected,
        elsewhere=report.elsewhere,
        started_at=report.started_at,
        duration=report.duration,
        role=report.role,
        deadline=report.deadline,
        interrupted=report.interrupted,
        cached=report.cached,
        age=report.age,
        shared=report.shared,
        recent=tuple(map(_summarized_past, report.recent)),
        detail=detail,
    )


def trim_result(result: TestResult, detail: Detail) -> TestResult | None:
    """Return what a reader with ``detail`` may see of ``result``, or ``None``: nothing."""
    if detail is Detail.VERDICT:
        return None
    return result if detail is Detail.DETAILS else _summarized(result)


def _summarized(result: TestResult) -> TestResult:
    return TestResult(
        id=result.id,
        outcome=result.outcome,
        optional=result.optional,
        duration=result.duration,
        started_at=result.started_at,
        timed_out=result.timed_out,
        cut_off=result.cut_off,
        retried=result.retried,
    )


def _summarized_past(past: Past) -> Past:
    return Past(
        passed=past.passed,
        inconclusive=past.inconclusive,
        started_at=past.started_at,
        duration=past.duration,
        tests=past.tests,
        failed=past.failed,
        warned=past.warned,
        names=past.names,
        role=past.role,
    )


def _has_token(request: HttpRequest) -> bool:
    """Whether the request bears a valid token; one that is not valid is never ignored.

    Another scheme than Bearer is the site's own business: a site behind Basic
    authentication sends that header with every request.
    """
    # By these two only: for str.strip the last byte of an "à" in UTF-8 is a space as well.
    header = str(request.META.get("HTTP_AUTHORIZATION", "")).strip(" \t")
    scheme, *token = re.split(r"[ \t]+", header, maxsplit=1)
    if scheme.lower() != "bearer":
        return False
    if not _is_known("".join(token)):
        raise Denied(
            "The bearer token is not one that this site accepts. Wrong credentials are "
            "refused, never taken for none. Send one of SMOKETEST_TOKENS, or leave the "
            "header out to ask as anybody may."
        )
    return True


def _is_known(token: str) -> bool:
    sent = _octets(token)
    # Every token is compared, so the time tells not even which one it was.
    matches = [constant_time_compare(sent, known.encode()) for known in settings.tokens]
    return any(matches)


def _octets(header: str) -> bytes:
    """Return the bytes that were sent: WSGI and ASGI both hand them over as latin-1."""
    try:
        return header.encode("latin-1")
    except UnicodeEncodeError:
        return header.encode("utf-8", "surrogatepass")


def _is_permitted(request: HttpRequest) -> bool:
    """Whether a user is logged in who may see everything.

    Where the user cannot be loaded, because the database is down perhaps or does not
    answer, the caller is anonymous: a report is wanted now more than ever.
    """
    permission = settings.permission

    def look() -> bool:
        return _has_permission(getattr(request, "user", None), permission)

    try:
        return errands.run(look, to="the users") if _may_hang(request) else look()
    except Exception:
        logger.warning(
            "The user of a request for the smoke tests could not be loaded; "
            "the caller is taken for anonymous.",
            exc_info=True,
        )
        _let_go_of_session(request)
        return False


def _let_go_of_session(request: HttpRequest) -> None:
    """Keep SessionMiddleware from the session, which could not be read.

    With SESSION_SAVE_EVERY_REQUEST it would read it again and raise, in place of our answer.
    """
    if hasattr(request, "session"):
        del request.session


def _may_hang(request: HttpRequest) -> bool:
    """Whether somebody else may look for the user, and should, for a database is asked."""
    has_session = django_settings.SESSION_COOKIE_NAME in request.COOKIES
    return has_session and not isolation.must_run_inline()


def _has_permission(user: object, permission: str | None) -> bool:
    if not getattr(user, "is_active", False) or not getattr(user, "is_authenticated", False):
        return False
    if permission is None:
        return bool(getattr(user, "is_staff", False))
    has_perm = getattr(user, "has_perm", None)
    return bool(has_perm and has_perm(permission))
