"""What is answered in the place of a run: a refusal, or a report on what went wrong.

Whatever is said here goes by what the caller may see, so nobody learns from an error
what a report would not have told.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from traceback import format_exception
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse

from smoketest import conf, query, renderers, responses, sharing
from smoketest.access import Denied, trim
from smoketest.cleansing import cleanse
from smoketest.conf import settings
from smoketest.escaping import visible
from smoketest.exceptions import InvalidSelection, SmokeTestError, UnknownFormat
from smoketest.history import NothingKnown
from smoketest.query import InvalidQuery
from smoketest.results import Detail, Outcome, Report, TestResult

logger = logging.getLogger("smoketest")

OURSELVES = "smoketest"
"""The id of the result that stands for what went wrong around the tests."""


def answer(error: Exception, request: HttpRequest, detail: Detail) -> HttpResponse:
    """Return the response that says ``error``; where even that fails, the verdict."""
    try:
        return _explained(error, request, detail)
    except Exception:
        logger.exception("The smoke tests could not be reported; the answer is FAIL.")
        verdict = Report(passed=False, detail=Detail.VERDICT)
        return responses.of_report(verdict, renderers.get("text"), _fail_status())


def _explained(error: Exception, request: HttpRequest, detail: Detail) -> HttpResponse:
    match error:
        case InvalidQuery() | InvalidSelection() | UnknownFormat():
            return refusal(request, 400, _told(error, detail))
        case Denied():
            return refusal(request, 403, str(error))
        case sharing.Busy():
            response = _note(error, request, 503, detail)
            response["Retry-After"] = str(error.retry_after)
            return response
        case NothingKnown():
            return _note(error, request, 503, detail)
        case sharing.Nested():
            return _note(error, request, _fail_status(), detail)
    # Not in a format of the project's own, which may be what went wrong.
    return responses.of_report(crash(error, detail), _nearest_renderer(request), _fail_status())


def refusal(request: HttpRequest, status: int, message: str) -> HttpResponse:
    """Return the response to a request that causes no run, and says why in its format.

    A format that has no words for it gets a report with the reason as its only result.
    """
    renderer: Any = _nearest_renderer(request)
    if hasattr(renderer, "render_refusal"):
        body = renderer.render_refusal(visible(message))
    else:
        body = renderer.render(_failure(_went_wrong(message)))
    return responses.of_text(body, renderer, status)


def _told(error: SmokeTestError, detail: Detail) -> str:
    """Return what this caller may learn of ``error``, which may name what there is."""
    if detail is not Detail.VERDICT:
        return str(error)
    return str(
        getattr(error, "public", "The request asks for something that this site does not have.")
    )


def _note(error: SmokeTestError, request: HttpRequest, status: int, detail: Detail) -> HttpResponse:
    busy = isinstance(error, sharing.Busy | NothingKnown)
    renderer = _nearest_renderer(request, *conf.renderers())
    return responses.of_report(note(error, detail), renderer, status, exactly=busy)


def note(error: SmokeTestError, detail: Detail) -> Report:
    """Return a report that only says ``error``, to everybody who sees messages or not."""
    result = _went_wrong(str(error), cut_off=isinstance(error, sharing.Busy))
    return replace(_failure(result), detail=detail)


def crash(error: BaseException, detail: Detail) -> Report:
    """Return a report on ``error``, which came from around the tests, and log it."""
    logger.error("The smoke tests could not be run or reported.", exc_info=error)
    message = "".join(format_exception(error)[-1:]).strip()
    result = _went_wrong(message, traceback="".join(format_exception(error)))
    return trim(cleanse(_failure(result)), Detail.DETAILS if django_settings.DEBUG else detail)


def _nearest_renderer(request: HttpRequest, *extra: renderers.Renderer) -> renderers.Renderer:
    """Return the renderer asked for where it is known, else what ``Accept`` likes best."""
    try:
        return query.renderer(request, query.parameters(request).get("format"), extra)
    except (InvalidQuery, UnknownFormat):
        return query.renderer(request, None, extra)


def _fail_status() -> int:
    try:
        return settings.fail_status
    except ImproperlyConfigured:
        return 500


def _went_wrong(message: str, **values: Any) -> TestResult:
    return TestResult(
        id=OURSELVES,
        outcome=Outcome.ERRORED,
        message=message,
        started_at=datetime.now(UTC),
        **values,
    )


def _failure(result: TestResult) -> Report:
    return Report.from_results([result], selected=1, started_at=result.started_at)
