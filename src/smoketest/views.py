"""HTTP in, HTTP out: whatever the request and the state of the site, a report.

The view decides nothing by itself: ``query`` says what is asked for, ``access`` who may
see what, ``sharing`` whose run it is, ``runner`` runs, ``renderers`` write, ``responses``
send it, and ``faults`` says what went wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import classonlymethod
from django.views.generic import View

from smoketest import (
    conf,
    faults,
    fleet,
    history,
    isolation,
    listing,
    query,
    renderers,
    responses,
    runner,
    sharing,
    streaming,
    workers,
)
from smoketest.access import Access, Denied, decide, trim, trim_result
from smoketest.cleansing import cleanse, cleanse_result, cleanser
from smoketest.conf import settings
from smoketest.fleet import Answer, Expectation
from smoketest.log import log_report
from smoketest.options import WEB, WORKER, Options
from smoketest.query import Query
from smoketest.results import Detail, Report, TestResult
from smoketest.selection import Selection

logger = logging.getLogger("smoketest")


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
            response = faults.answer(error, request, self.access.detail)
        return responses.finished(request, response)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Run what is asked for and return the report in the format asked for."""
        self.access = decide(request)
        # To wait may take as long as a run, and a site has few connections: a crowd that
        # comes with a session would have them all.
        isolation.let_go()
        asked = self.get_query()
        renderer = query.renderer(request, asked.format, conf.renderers())
        self._check_trust(asked)
        if asked.listing:
            return self._list(asked, renderer)
        # Read before the run, so that a wrong one cannot cost a failing run its report.
        fail_status = settings.fail_status
        if asked.latest:
            report = self.get_latest(asked)
            return responses.of_report(trim(report, self.access.detail), renderer, fail_status)
        if (
            hasattr(renderer, "render_result")
            and request.method == "GET"
            and streaming.is_possible()
        ):
            return self._stream(asked, renderer, fail_status)
        report = self._with_recent(self.get_report(asked), asked, renderer)
        return responses.of_report(trim(report, self.access.detail), renderer, fail_status)

    def _check_trust(self, asked: Query) -> None:
        """Raise :class:`Denied` for what only callers with credentials may ask for."""
        if self.access.trusted:
            return
        if self.access.detail is Detail.VERDICT and "k" in self.request.GET:
            raise Denied(
                "A pattern is not for callers without credentials, for this site shows them its "
                "verdict only, which would tell them names letter by letter. Send the header "
                "'Authorization: Bearer TOKEN', or name what you know with 'test' or 'tag'."
            )
        if asked.verify:
            raise Denied(
                "Whether anything was committed is verified for callers with credentials only, "
                "for it takes further connections to every database. Send the header "
                "'Authorization: Bearer TOKEN', or leave 'verify' out."
            )
        if asked.workers:
            raise Denied(
                "The workers are asked for callers with credentials only, for each question is "
                "a message to every one of them. Send the header 'Authorization: Bearer TOKEN', "
                "or leave 'workers' out."
            )

    def get_query(self) -> Query:
        """Return what the request asks for; override it to ask for something else."""
        return query.parse(self.request)

    def get_options(self, asked: Query) -> Options:
        """Return how to run: by the settings, with limits as low as the caller wants them."""
        role = WORKER if asked.workers else settings.role or WEB
        options = conf.options(failfast=asked.failfast, verify=asked.verify, role=role)
        options = conf.lowered(options, timeout=asked.timeout, deadline=asked.deadline)
        return conf.lowered(options, deadline=query.scrape_deadline(self.request))

    def get_latest(self, asked: Query) -> Report:
        """Return the report of the last run, as an answer of now; nothing is run."""
        role = asked.role or self.get_options(asked).role
        max_age = history.MAX_AGE if asked.max_age is None else asked.max_age
        return history.latest(asked.selection, role, max_age)

    def get_report(self, asked: Query) -> Report:
        """Return the report of a run, of one that another caller shares, or of a recent one."""
        options = self.get_options(asked)

        def run(seconds: float) -> Report:
            return _runner(asked)(asked.selection, replace(options, deadline=seconds))

        return self._shared(asked, options, run)

    def _finished(self, report: Report, asked: Query) -> Report:
        """Return the report of a run as it may be kept, and keep it."""
        report = cleanse(report)
        log_report(report)
        if asked.workers:
            return report
        if self.access.trusted or _is_representative(self.request, asked, report):
            history.record(report, asked.selection)
        return report

    def _with_recent(self, report: Report, asked: Query, renderer: Any) -> Report:
        """Return ``report`` with the runs before it, where they will be shown."""
        shown = getattr(renderer, "shows_recent", False) and not asked.workers
        if self.access.detail is Detail.VERDICT or not shown:
            return report
        return replace(report, recent=history.recent(asked.selection, report.role))

    def _shared(self, asked: Query, options: Options, run: sharing.Run) -> Report:
        return sharing.shared_run(
            _key(asked, options),
            run,
            deadline=options.deadline,
            finish=lambda report: self._finished(report, asked),
            cache_seconds=settings.cache_seconds,
            caller=self._caller(),
        )

    def _caller(self) -> sharing.Caller:
        trusted = self.access.trusted
        fresh = trusted and query.wants_fresh(self.request)
        return sharing.Caller(preferred=trusted, fresh=fresh)

    def _stream(self, asked: Query, renderer: Any, fail_status: int) -> HttpResponseBase:
        """Answer with a line as each test ends; with a report where another caller has it."""
        options, cleansed = self.get_options(asked), cleanser()

        def write_result(result: TestResult) -> str:
            shown = trim_result(cleanse_result(result, cleansed), self.access.detail)
            return renderer.render_result(shown) if shown else ""

        def run(seconds: float) -> Report:
            report = _runner(asked)(
                asked.selection,
                replace(options, deadline=seconds),
                on_start=stream.on_start,
                on_result=stream.on_result,
                on_begin=stream.on_begin,
            )
            stream.check()
            return report

        stream = streaming.Stream(
            write_result,
            lambda end: self._last_line(end, renderer),
            is_awaited=lambda: sharing.is_awaited(_key(asked, options)),
            **_progress(renderer, self.access.detail),
        )
        report = stream.begin(lambda: self._shared(asked, options, run))
        if report is not None:
            return responses.of_report(trim(report, self.access.detail), renderer, fail_status)
        asynchronous = hasattr(self.request, "scope")
        return responses.of_stream(stream, renderer, asynchronous=asynchronous)

    def _last_line(self, end: Report | BaseException, renderer: Any) -> str:
        """Return the line of the run, whatever became of it."""
        match end:
            case Report():
                report = trim(end, self.access.detail)
            case streaming.Abandoned():
                logger.info("%s", end)
                return ""
            case sharing.Busy():
                report = faults.note(end, self.access.detail)
            case _:
                report = faults.crash(end, self.access.detail)
        return str(renderer.render_end(report))

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Answer 405 as Django does, but with a body in the format asked for."""
        response: Any = super().http_method_not_allowed(request, *args, **kwargs)
        refusal = faults.refusal(
            request,
            405,
            f"The method {str(request.method)[:20]!r} is not allowed here. Use GET or HEAD.",
        )
        refusal["Allow"] = response["Allow"]
        responses.mark_as_logged(refusal)
        return refusal

    def _list(self, asked: Query, renderer: renderers.Renderer) -> HttpResponse:
        if self.access.detail is Detail.VERDICT:
            raise Denied(
                "The list of tests is not for callers without credentials, for this site "
                "shows them its verdict only. Send the header 'Authorization: Bearer TOKEN'."
            )
        chosen = runner.select(asked.selection, self.get_options(asked))
        as_text, as_json = listing.as_text(chosen), listing.as_json(chosen)
        return responses.of_either(renderer, as_text, as_json, 200)


def _progress(renderer: Any, detail: Detail) -> dict[str, Any]:
    """Return how ``renderer`` writes what begins, where it does and the caller may see names."""
    if detail is Detail.VERDICT or not hasattr(renderer, "render_begin"):
        return {}
    return {"write_start": renderer.render_start, "write_begin": renderer.render_begin}


def _is_representative(request: HttpRequest, asked: Query, report: Report) -> bool:
    """Whether a stranger's run says of the site what anybody's does.

    A part of the tests would fill the cache with as many histories as a stranger can think
    of, and a limit that is too low would make a healthy site fail.
    """
    limited = query.has_limits(request, asked)
    return asked.selection == Selection() and (report.passed or not limited)


def _runner(asked: Query) -> Callable[..., Report]:
    """Return what runs the tests where they are asked for."""
    return _run_on_workers if asked.workers else runner.run


def _run_on_workers(
    selection: Selection,
    options: Options,
    on_result: Callable[[TestResult], None] = lambda result: None,
    on_start: Callable[[list[str]], None] = lambda ids: None,
    on_begin: Callable[[str], None] = lambda id: None,
) -> Report:
    """Run the tests on every worker; the callbacks hear of results as a node answers."""
    expectation = Expectation(nodes=settings.expected_nodes)

    def on_answer(answer: Answer) -> None:
        for result in fleet.judge(answer, expectation).results:
            on_result(result)

    listener = workers.Listener(on_start=lambda: on_start([]), on_answer=on_answer)
    return workers.ask(selection, options, expectation, listener)


def _key(asked: Query, options: Options) -> tuple[Selection, str, bool]:
    """Return what all callers have in common who may share a run."""
    return asked.selection, repr(options), asked.workers
