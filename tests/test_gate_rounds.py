"""When the gate asks again, whom, and what it makes of the answers."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from datetime import UTC, datetime

import pytest

from smoketest import fleet
from smoketest.gate import rounds
from smoketest.results import Report
from tests.scripted import Say, gate, node, report, say

Capture = pytest.CaptureFixture[str]

OLD, NEW = report(release="r1"), report(release="r2")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rounds follow each other at once: how many there are is what is tested."""
    monkeypatch.setattr(rounds, "INTERVAL", 0.0)
    monkeypatch.delenv("SMOKETEST_TOKEN", raising=False)


def test_without_patience_each_node_is_asked_once(capsys: Capture) -> None:
    with node(report("test_x"), report()) as one:
        assert gate(capsys, one.url).status == 1
    assert len(one.asked) == 1


def test_only_the_nodes_that_did_not_pass_are_asked_again(capsys: Capture) -> None:
    with node(report()) as one, node(report("test_x"), report("test_x"), report()) as two:
        assert gate(capsys, one.url, two.url, "--wait=60").status == 0
    assert (len(one.asked), len(two.asked)) == (1, 3)


def test_a_test_that_passes_after_a_failure_says_so(capsys: Capture) -> None:
    passed = {"status": "PASS", "tests_run": 1, "tests_passed": 1, "results": []}
    passed["results"] = [{"id": "shop.smoke.Catalogue.test_x", "outcome": "passed"}]
    with node(report("test_x"), say(passed)) as one:
        ended = gate(capsys, one.url, "--wait=60")
    assert ended.status == 0
    assert "retried: shop.smoke.Catalogue.test_x" in ended.out


def test_a_node_that_comes_up_later_is_waited_for(capsys: Capture) -> None:
    """The other node starts it, when it is asked for the second time."""
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.3", 0))
        port = reserved.getsockname()[1]
        late = node(report(), host="127.0.0.3", port=port)
        first, second = say(report("test_x")), say(report())

        def come_up() -> None:
            reserved.close()
            late.__enter__()

        later = Say(second.body, second.status, second.headers, before=come_up)
        with node(first, later) as one:
            ended = gate(capsys, one.url, f"http://127.0.0.3:{port}/", "--wait=60")
        late.__exit__(None, None, None)
    assert ended.status == 0, ended.out


def test_an_older_process_that_still_answers_is_not_enough(capsys: Capture) -> None:
    with node(OLD, OLD, NEW) as one:
        ended = gate(capsys, one.url, "--expect-release=r2", "--wait=60")
    assert (ended.status, len(one.asked)) == (0, 3)


def test_an_older_release_is_errored_when_patience_is_over(capsys: Capture) -> None:
    with node(OLD) as one:
        ended = gate(capsys, one.url, "--expect-release=r2", "--wait=0.001")
    assert ended.status == 1
    assert "The node runs the release 'r1', and 'r2' is expected." in ended.out


def test_passes_must_come_in_a_row(capsys: Capture) -> None:
    with node(NEW, OLD, NEW) as one, node(NEW) as two:
        words = ["--expect-release=r2", "--consecutive=3", "--wait=60"]
        assert gate(capsys, one.url, two.url, *words).status == 0
    # One pass, the older process once more, and then three.
    assert (len(one.asked), len(two.asked)) == (5, 5)


def test_a_failure_in_the_row_fails_where_nobody_waits(capsys: Capture) -> None:
    with node(NEW, NEW, report("test_x")) as one:
        assert gate(capsys, one.url, "--consecutive=5").status == 1
    assert len(one.asked) == 3


def test_a_row_that_has_begun_goes_on_when_the_wait_is_over(capsys: Capture) -> None:
    with node(NEW) as one:
        assert gate(capsys, one.url, "--consecutive=3", "--wait=0.001").status == 0
    assert len(one.asked) == 3


def of_run(second: int, *bad: str) -> Report:
    """The report of the run that began at ``second``, to a caller who sees no node."""
    began = datetime(2026, 11, 23, 12, 0, second, tzinfo=UTC)
    return report(*bad, started_at=began, node="", pid=0)


def test_a_run_that_is_shown_again_counts_once(capsys: Capture) -> None:
    """As by SMOKETEST_CACHE_SECONDS, where the gate has no token and is shown what there is."""
    with node(of_run(1), of_run(1), of_run(2), of_run(2), of_run(3)) as one:
        assert gate(capsys, one.url, "--consecutive=3").status == 0
    assert len(one.asked) == 5


def test_processes_that_take_turns_count_once_for_each_run(capsys: Capture) -> None:
    with node(of_run(1), of_run(2), of_run(1), of_run(2), of_run(3)) as one:
        assert gate(capsys, one.url, "--consecutive=3").status == 0
    assert len(one.asked) == 5


def test_nodes_that_run_anew_in_turns_still_make_a_row(capsys: Capture) -> None:
    one, two = node(of_run(1), of_run(1), of_run(2)), node(of_run(1), of_run(3), of_run(3))
    with one as first, two as second:
        assert gate(capsys, first.url, second.url, "--consecutive=2").status == 0
    assert (len(first.asked), len(second.asked)) == (3, 3)


def test_a_pass_from_before_a_failure_does_not_begin_a_row(capsys: Capture) -> None:
    answers = (of_run(1), of_run(2, "test_x"), of_run(1), of_run(3), of_run(4))
    with node(*answers) as one:
        assert gate(capsys, one.url, "--consecutive=2", "--wait=60").status == 0
    assert len(one.asked) == 5


def test_a_node_that_shows_one_run_for_ever_is_errored_after_a_deadline(capsys: Capture) -> None:
    with node(of_run(1)) as one:
        ended = gate(capsys, one.url, "--consecutive=2", "--deadline=1")
    assert ended.status == 1
    assert len(one.asked) > 1
    assert "for 1 s with the report of one and the same run" in ended.out
    assert "SMOKETEST_CACHE_SECONDS" in ended.out


def test_enough_nodes_end_the_wait(capsys: Capture) -> None:
    with node(report()) as one, node(report("test_x")) as two:
        ended = gate(capsys, one.url, two.url, "--at-least=1", "--wait=60")
    assert (ended.status, len(two.asked)) == (0, 1)
    assert "warned: shop.smoke.Catalogue.test_x" in ended.out


@pytest.mark.parametrize("option", ["--at-least=3", "--expect-nodes=3"])
def test_too_few_nodes_fail(capsys: Capture, option: str) -> None:
    with node(report()) as one, node(report(), host="127.0.0.2") as two:
        ended = gate(capsys, one.url, two.url, option)
    assert ended.status == 1
    assert "3 nodes must" in ended.out


def test_releases_that_differ_are_a_warning(capsys: Capture) -> None:
    with node(OLD) as one, node(NEW) as two:
        ended = gate(capsys, one.url, two.url)
    assert ended.status == 0
    assert "The nodes run 2 different releases." in ended.out


def test_nobody_to_ask_is_no_pass(capsys: Capture) -> None:
    assert gate(capsys, "--nodes-file=/dev/null").status == 3


def test_a_stream_has_a_line_for_each_answer_and_the_verdict_last(capsys: Capture) -> None:
    with node(report("test_x"), report()) as one:
        ended = gate(capsys, one.url, "--format=ndjson", "--wait=60")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line.get("outcome") for line in lines] == ["passed", "failed", "passed", None]
    assert {line["node"] for line in lines[:-1]} == {one.url}
    assert lines[-1]["status"] == "PASS"


def test_each_node_is_told_as_it_answers(capsys: Capture) -> None:
    with node(report("test_x")) as one, node(say({"status": "PASS"})) as two:
        ended = gate(capsys, one.url, two.url, "-v2", "--concurrency=1", "--format=json")
    told = ended.err.splitlines()
    assert told[0] == f"{one.url} ... FAIL (1 of 2 tests failed, release r2, 0.2 s)"
    assert told[1].startswith("    test_x (shop.smoke.Catalogue.test_x) on ")
    assert told[-1] == f"{two.url} ... ok (the verdict alone)"
    assert json.loads(ended.out)["status"] == "FAIL"


def test_with_more_words_each_test_is_told(capsys: Capture) -> None:
    with node(report()) as one:
        assert "test_read (shop.smoke.Catalogue.test_read) on" in gate(capsys, one.url, "-v3").out


def test_more_nodes_than_are_asked_at_a_time_are_all_asked(capsys: Capture) -> None:
    with node(report()) as one:
        base = f"http://127.0.0.1:{one.server_port}"
        urls = [f"{base}/{number}/" for number in range(7)]
        ended = gate(capsys, *urls, "--concurrency=2", "--format=json")
    assert [found["name"] for found in json.loads(ended.out)["nodes"]] == urls


def test_those_that_the_deadline_left_out_are_errored(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, node(report()) as one:
        hung = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        ended = gate(capsys, hung, one.url, "--concurrency=1", "--deadline=1", "--format=json")
    data = json.loads(ended.out)
    said = {found["node"]: found["message"] for found in data["results"]}
    assert {found["id"] for found in data["results"]} == {fleet.ANSWER}
    assert "took the connection and did not answer" in said[hung]
    assert "could not be reached before the deadline" in said[one.url]
    assert one.asked == []
