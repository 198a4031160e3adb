"""HTTP in, HTTP out: whatever the request and the state of the site, a report.

The view decides nothing by itself: ``access`` says who may see what, ``query`` what
is asked for, ``sharing`` whose run it is, ``runner`` runs, ``renderers`` write.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from traceback import format_exception
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import classonlymethod
from django.views.generic import View

from smoketest import conf, listing, query, renderers, runner, sharing, streaming
from smoketest.access import Access, Denied, decide, trim, trim_result
from smoketest.cleansing import cleanse, cleanse_result, cleanser
from smoketest.conf import settings
from smoketest.escaping import visible
from smoketest.exceptions import InvalidSelection, SmokeTestError, UnknownFormat
from smoketest.log import log_report
from smoketest.options import Options
from smoketest.query import InvalidQuery, Query
from smoketest.results import Detail, Outcome, Report, TestResult
from smoketest.selection import Selection

logger = logging.getLogger("smoketest")

HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Accept, Authorization, Cookie",
    "X-Robots-Tag": "noindex",
}
"""On every response, whatever its status."""

SCRAPE_MARGIN = 0.5
"""Seconds of a scraper's time-out that are left for the way back, as Prometheus'
blackbox exporter does it."""

OURSELVES = "smoketest"
"""The id of the result that stands for what went wrong around the tests."""


class _EveryAlias:
    """Django asks it whether a view wants no ATOMIC_REQUESTS transaction on an alias."""

    def __contains__(self, alias: object) -> bool:
        return True


class IndexView(View):
    """Runs the smoke tests for GET and HEAD, and answers with the report.

    To run a part of the tests at another URL, or with other limits, override
    :meth:`get_query` or :meth:`get_options`.
    """

    access = Access(Detail.VERDICT)
    """What the caller may see; the least, until that is decided."""

    @classonlymethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:  # noqa: N805
        """Return the view, free of what Django and middleware put around other views."""
        view: Any = super().as_view(**initkwargs)
        # A transaction around the view would only hold a connection and its locks.
        view._non_atomic_requests = _EveryAlias()
        # LoginRequiredMiddleware: who may run the tests is decided in access.
        view.login_required = False
        # Nothing is changed here; without this a POST would get a page of Django's
        # about CSRF instead of the 405.
        view.csrf_exempt = True
        return view  # type: ignore[no-any-return]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, whatever happens, and with our headers."""
        # Django 5.2's cache middleware once stored responses that say "no-store".
        request._cache_update_cache = False  # type: ignore[attr-defined]
        try:
            response = super().dispatch(request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - every one becomes a report
            response = self._answer_to(error)
        return _finished(request, response)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Run what is asked for and return the report in the format asked for."""
        self.access = decide(request)
        asked = self.get_query()
        renderer = _renderer(request, asked.format, conf.renderers())
        if asked.listing:
            return self._list(asked, renderer)
        # Read before the run, so that a wrong one cannot cost a failing run its report.
        fail_status = settings.fail_status
        if (
            hasattr(renderer, "render_result")
            and request.method == "GET"
            and streaming.is_possible()
        ):
            return self._stream(asked, renderer, fail_status)
        report = self.get_report(asked)
        return _report(trim(report, self.access.detail), renderer, fail_status)

    def get_query(self) -> Query:
        """Return what the request asks for; override it to ask for something else."""
        return query.parse(self.request)

    def get_options(self, asked: Query) -> Options:
        """Return how to run: by the settings, with limits as low as the caller wants them."""
        options = conf.lowered(
            conf.options(failfast=asked.failfast), timeout=asked.timeout, deadline=asked.deadline
        )
        return conf.lowered(options, deadline=_scrape_deadline(self.request))

    def get_report(self, asked: Query) -> Report:
        """Return the report of a run, of one that another caller shares, or of a recent one."""
        options = self.get_options(asked)

        def run(seconds: float) -> Report:
            report = cleanse(runner.run(asked.selection, replace(options, deadline=seconds)))
            log_report(report)
            return report

        return self._shared(asked, options, run)

    def _shared(self, asked: Query, options: Options, run: sharing.Run) -> Report:
        return sharing.shared_run(
            _key(asked, options),
            run,
            deadline=options.deadline,
            cache_seconds=settings.cache_seconds,
            fresh=self.access.trusted and _wants_fresh(self.request),
        )

    def _stream(self, asked: Query, renderer: Any, fail_status: int) -> HttpResponseBase:
        """Answer with a line as each test ends; with a report where another caller has it."""
        options, cleansed = self.get_options(asked), cleanser()

        def write_result(result: TestResult) -> str:
            shown = trim_result(cleanse_result(result, cleansed), self.access.detail)
            return renderer.render_result(shown) if shown else ""

        def run(seconds: float) -> Report:
            report = runner.run(
                asked.selection,
                replace(options, deadline=seconds),
                on_start=stream.on_start,
                on_result=stream.on_result,
                on_begin=stream.on_begin,
            )
            stream.check()
            report = cleanse(report)
            log_report(report)
            return report

        stream = streaming.Stream(
            write_result,
            lambda end: self._last_line(end, renderer),
            is_awaited=lambda: sharing.is_awaited(_key(asked, options)),
            **_progress(renderer, self.access.detail),
        )
        report = stream.begin(lambda: self._shared(asked, options, run))
        if report is not None:
            return _report(trim(report, self.access.detail), renderer, fail_status)
        return _streamed(stream, renderer, hasattr(self.request, "scope"))

    def _last_line(self, end: Report | BaseException, renderer: Any) -> str:
        """Return the line of the run, whatever became of it."""
        match end:
            case Report():
                report = trim(end, self.access.detail)
            case streaming.Abandoned():
                logger.info("%s", end)
                return ""
            case sharing.Busy():
                report = self._noted(end, cut_off=True)
            case _:
                report = self._crash(end)
        return str(renderer.render_end(report))

    def _answer_to(self, error: Exception) -> HttpResponse:
        """Return the response that says ``error``; where even that fails, the verdict."""
        try:
            return self._explained(error)
        except Exception:
            logger.exception("The smoke tests could not be reported; the answer is FAIL.")
            verdict = Report(passed=False, detail=Detail.VERDICT)
            return _report(verdict, renderers.get("text"), _fail_status())

    def _explained(self, error: Exception) -> HttpResponse:
        match error:
            case InvalidQuery() | InvalidSelection() | UnknownFormat():
                return self._refusal(400, self._told(error))
            case Denied():
                return self._refusal(403, str(error))
            case sharing.Busy():
                response = self._note(error, status=503, cut_off=True)
                response["Retry-After"] = str(error.retry_after)
                return response
            case sharing.Nested():
                return self._note(error, status=_fail_status())
        return self._crashed(error)

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Answer 405 as Django does, but with a body in text or JSON."""
        response: Any = super().http_method_not_allowed(request, *args, **kwargs)
        refusal = self._refusal(
            405, f"The method {request.method!r} is not allowed here. Use GET or HEAD."
        )
        refusal["Allow"] = response["Allow"]
        _mark_as_logged(refusal)
        return refusal

    def _list(self, asked: Query, renderer: renderers.Renderer) -> HttpResponse:
        if self.access.detail is Detail.VERDICT:
            raise Denied(
                "The list of tests is not for callers without credentials, for this site "
                "shows them its verdict only. Send the header 'Authorization: Bearer TOKEN'."
            )
        chosen = runner.select(asked.selection, self.get_options(asked))
        return _written(renderer, listing.as_text(chosen), listing.as_json(chosen), 200)

    def _told(self, error: SmokeTestError) -> str:
        """Return what this caller may learn of ``error``, which may name what there is."""
        if self.access.detail is not Detail.VERDICT:
            return str(error)
        return str(
            getattr(error, "public", "The request asks for something that this site does not have.")
        )

    def _refusal(self, status: int, message: str) -> HttpResponse:
        message = visible(message)
        body = json.dumps({"status": "FAIL", "error": message}) + "\n"
        return _written(self._nearest_renderer(), f"FAIL\n{message}\n", body, status)

    def _note(self, error: SmokeTestError, *, status: int, cut_off: bool = False) -> HttpResponse:
        """Return a report that only says ``error``, to everybody who sees messages or not."""
        report = self._noted(error, cut_off=cut_off)
        renderer = self._nearest_renderer(*conf.renderers())
        return _report(report, renderer, status, exactly=cut_off)

    def _noted(self, error: SmokeTestError, *, cut_off: bool = False) -> Report:
        result = _went_wrong(str(error), cut_off=cut_off)
        return replace(_failure(result), detail=self.access.detail)

    def _crashed(self, error: Exception) -> HttpResponse:
        # Not in a format of the project's own, which may be what went wrong.
        return _report(self._crash(error), self._nearest_renderer(), _fail_status())

    def _crash(self, error: BaseException) -> Report:
        """Return a report on ``error``, which came from around the tests, and log it."""
        logger.error("The smoke tests could not be run or reported.", exc_info=error)
        message = "".join(format_exception(error)[-1:]).strip()
        result = _went_wrong(message, traceback="".join(format_exception(error)))
        detail = Detail.DETAILS if django_settings.DEBUG else self.access.detail
        return trim(cleanse(_failure(result)), detail)

    def _nearest_renderer(self, *extra: renderers.Renderer) -> renderers.Renderer:
        """Return the renderer asked for where it is known, else what ``Accept`` likes best."""
        try:
            return _renderer(self.request, query.parameters(self.request).get("format"), extra)
        except (InvalidQuery, UnknownFormat):
            return _renderer(self.request, None, extra)


def _progress(renderer: Any, detail: Detail) -> dict[str, Any]:
    """Return how ``renderer`` writes what begins, where it does and the caller may see names."""
    if detail is Detail.VERDICT or not hasattr(renderer, "render_begin"):
        return {}
    return {"write_start": renderer.render_start, "write_begin": renderer.render_begin}


def _key(asked: Query, options: Options) -> tuple[Selection, str]:
    """Return what all callers have in common who may share a run."""
    return asked.selection, repr(options)


def _streamed(
    stream: streaming.Stream, renderer: renderers.Renderer, asynchronous: bool
) -> StreamingHttpResponse:
    """Return the response to a run that is under way: 200, for its end is not known."""
    body = streaming.AsyncLines(stream) if asynchronous else streaming.Lines(stream)
    response = StreamingHttpResponse(body, content_type=_content_type(renderer))
    # GZipMiddleware of Django 5.2 and 6.0 holds chunks back, and leaves alone what has an
    # encoding: https://github.com/django/django/blob/5.2/django/middleware/gzip.py
    response["Content-Encoding"] = "identity"
    # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
    response["X-Accel-Buffering"] = "no"
    return response


def _renderer(
    request: HttpRequest, name: str | None, extra: Iterable[renderers.Renderer]
) -> renderers.Renderer:
    accept = request.headers.get("Accept", "")
    if name is None:
        return renderers.negotiate(accept, extra)
    return renderers.get(name, extra, accept)


def _report(
    report: Report, renderer: renderers.Renderer, fail_status: int, *, exactly: bool = False
) -> HttpResponse:
    """Return the response to a run; ``exactly`` holds even for a format that is always 200."""
    passed = report.passed or (getattr(renderer, "always_200", False) and not exactly)
    response = _text(renderer.render(report), renderer, 200 if passed else fail_status)
    policy = getattr(renderer, "content_security_policy", None)
    if policy:
        response["Content-Security-Policy"] = policy
    _mark_as_logged(response)
    return response


def _written(renderer: renderers.Renderer, text: str, as_json: str, status: int) -> HttpResponse:
    """Return ``as_json`` to who asked for JSON of some kind, else ``text``."""
    if "json" in renderer.media_type:
        return _text(as_json, renderers.get("json"), status)
    return _text(text, renderers.get("text"), status)


def _text(text: str, renderer: renderers.Renderer, status: int) -> HttpResponse:
    return HttpResponse(
        text.encode(renderer.charset, "backslashreplace"),
        status=status,
        content_type=_content_type(renderer),
    )


def _content_type(renderer: renderers.Renderer) -> str:
    return f"{renderer.media_type}; charset={renderer.charset}"


def _mark_as_logged(response: HttpResponse) -> None:
    """Keep the response out of the log of ``django.request``, which mails ADMINS each 500.

    The logger ``smoketest`` has it already. Django sets this mark itself, so as not to
    log a response twice (django.utils.log.log_response).
    """
    response._has_been_logged = True  # type: ignore[attr-defined]


def _finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Put on ``response`` what all have, and take the body from the answer to HEAD."""
    for name, value in HEADERS.items():
        response[name] = value
    if isinstance(response, HttpResponse):
        response["Content-Length"] = str(len(response.content))
        if request.method == "HEAD":
            response.content = b""
    return response


def _fail_status() -> int:
    try:
        return settings.fail_status
    except ImproperlyConfigured:
        return 500


def _scrape_deadline(request: HttpRequest) -> float | None:
    """Return the seconds that a scraping Prometheus gives us, less the way back."""
    sent = request.headers.get("X-Prometheus-Scrape-Timeout-Seconds", "")
    seconds = query.positive_seconds(sent)
    return None if seconds is None else max(seconds - SCRAPE_MARGIN, seconds / 2)


def _wants_fresh(request: HttpRequest) -> bool:
    directives = request.headers.get("Cache-Control", "").lower().split(",")
    return "no-cache" in map(str.strip, directives)


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
