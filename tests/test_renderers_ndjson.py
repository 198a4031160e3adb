"""``ndjson``: a line a test, and the verdict in the last one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from django.test import Client

from smoketest import renderers
from smoketest.renderers.ndjson import NDJSONRenderer
from smoketest.results import Detail, Report, TestResult
from tests.reports import EVERYTHING, HOSTILE, NOTHING, READABLE, in_json, rendered

NDJSON = NDJSONRenderer()


@pytest.mark.parametrize("subject", [EVERYTHING, NOTHING])
def test_a_stream_is_a_line_for_each_result_and_one_for_the_run(subject: Report) -> None:
    lines = [json.loads(line) for line in rendered("ndjson", subject).splitlines()]
    assert tuple(map(TestResult.from_dict, lines[:-1])) == in_json(subject.results)
    assert lines[-1]["status"] == "FAIL"


def test_the_last_line_has_the_keys_of_json_but_the_results() -> None:
    end = json.loads(NDJSON.render_end(EVERYTHING))
    whole = json.loads(rendered("json"))
    del whole["results"]
    assert end == whole
    assert list(end) == list(whole)


def test_no_line_of_a_test_can_be_taken_for_the_last_one() -> None:
    *tests, last = map(json.loads, rendered("ndjson").splitlines())
    assert all("id" in line and "status" not in line for line in tests)
    assert "id" not in last


def test_the_lines_of_a_stream_are_those_of_the_whole() -> None:
    streamed = [NDJSON.render_result(one) for one in EVERYTHING.results]
    assert "".join([*streamed, NDJSON.render_end(EVERYTHING)]) == rendered("ndjson")
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in streamed)


def test_a_line_is_ascii_and_carries_whatever_a_message_says() -> None:
    text = rendered("ndjson")
    assert text.isascii()
    assert READABLE in [json.loads(line).get("message") for line in text.splitlines()]


def test_who_may_see_the_verdict_only_gets_the_last_line_only() -> None:
    assert rendered("ndjson", replace(EVERYTHING, detail=Detail.VERDICT)) == (
        '{"status": "FAIL"}\n'
    )


def test_a_run_that_failed_is_a_200_whose_last_line_says_so(client: Client) -> None:
    response = client.get("/smoketest/?format=ndjson")  # no app has tests, so this is no pass
    *_, last = b"".join(response).splitlines()
    assert response.status_code == 200
    assert json.loads(last)["status"] == "FAIL"


def test_progress_is_told_to_who_asks_for_it_by_accept() -> None:
    (progress,) = NDJSON.variants
    assert renderers.get("ndjson", accept=progress.media_type) is progress
    assert renderers.get("ndjson", accept="application/x-ndjson, */*").format == "ndjson"
    assert renderers.get("ndjson", accept="*/*") is not progress
    assert progress.render(EVERYTHING) == NDJSON.render(EVERYTHING)
    assert json.loads(progress.render_start(["a", HOSTILE])) == {"selected": ["a", READABLE]}
    assert json.loads(progress.render_begin(HOSTILE)) == {"begun": READABLE}
