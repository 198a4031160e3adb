"""assertNumQueries for a live process.

Django's own takes ``reset_queries`` off the process's ``request_started`` signal while
it counts, and depends on the log of queries that DEBUG fills. This one counts what
passes through the one connection, and touches nothing that others use.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest import TestCase

from django.db.backends.base.base import BaseDatabaseWrapper


class NumQueries(AbstractContextManager["NumQueries"]):
    """Fails the test unless its block executes so many queries.

    ``captured_queries``, indexing and ``len()`` are as those of Django's
    ``CaptureQueriesContext``; the SQL has its parameters in place.
    """

    def __init__(self, test: TestCase, expected: int, connection: BaseDatabaseWrapper) -> None:
        self.captured_queries: list[dict[str, str]] = []
        self._test = test
        self._expected = expected
        self._connection = connection
        self._block = ExitStack()

    def __iter__(self) -> Any:
        return iter(self.captured_queries)

    def __getitem__(self, index: Any) -> Any:
        return self.captured_queries[index]

    def __len__(self) -> int:
        return len(self.captured_queries)

    def __enter__(self) -> NumQueries:
        self._block.enter_context(self._connection.execute_wrapper(self._note))
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self._block.close()
        if kind is None and len(self) != self._expected:
            self._test.fail(self._message())

    def _note(
        self,
        execute: Callable[..., Any],
        sql: str,
        params: Any,
        many: bool,
        context: dict[str, Any],
    ) -> Any:
        try:
            return execute(sql, params, many, context)
        finally:
            shown = sql
            if not many:
                cursor = context["cursor"]
                shown = self._connection.ops.last_executed_query(cursor, sql, params)
            self.captured_queries.append({"sql": shown or sql})

    def _message(self) -> str:
        queries = (f"{n}. {query['sql']}" for n, query in enumerate(self, start=1))
        return "\n".join(
            [
                f"{len(self)} queries executed, {self._expected} expected",
                "Captured queries were:",
                *queries,
            ]
        )
