"""Names and ports of this machine, and some that nobody has."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.probes.running import outcomes


def test_name_that_resolves_passes() -> None:
    assert outcomes("Names", names=["localhost"]) == {"test_name_localhost": "passed"}
    assert outcomes("Names", names={"localhost": ["127.0.0.1"]}) == {
        "test_name_localhost": "passed"
    }


def test_name_that_nobody_has_fails() -> None:
    [outcome] = outcomes("Names", names=["nobody.invalid"]).values()
    assert outcome.startswith("failed: nobody.invalid does not resolve: gaierror: ")


def test_name_that_nobody_can_have_fails() -> None:
    [outcome] = outcomes("Names", names=[f"{'a' * 64}.example"]).values()
    assert "does not resolve: Unicode" in outcome


def test_other_address_than_expected_fails() -> None:
    [outcome] = outcomes("Names", names={"127.0.0.1": ["10.0.0.5"]}).values()
    assert outcome.startswith(
        "failed: 127.0.0.1 resolves to 127.0.0.1. The probe expects 10.0.0.5."
    )


def test_port_that_listens_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        got = outcomes("Ports", ports=[f"127.0.0.1:{port}", f"localhost:{port}"])
    assert list(got.values()) == ["passed", "passed"]


def test_port_where_nobody_listens_fails(closed_port: int) -> None:
    [outcome] = outcomes("Ports", ports=[f"127.0.0.1:{closed_port}"]).values()
    assert outcome.startswith(
        f"failed: 127.0.0.1:{closed_port} does not accept a connection: ConnectionRefusedError: "
    )


@pytest.mark.usefixtures("impatient")
def test_port_that_answers_to_nobody_fails_in_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = []
        for _ in range(3):  # fill the queue, so that the next one waits
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(address)
        [outcome] = outcomes("Ports", ports=[f"127.0.0.1:{address[1]}"]).values()
        for one in waiting:
            one.close()
    assert "does not accept a connection: TimeoutError" in outcome


@pytest.mark.parametrize("address", ["localhost", "localhost:http", "localhost:99999", 5432])
def test_address_without_a_port_is_an_error(address: Any) -> None:
    [outcome] = outcomes("Ports", ports=[address]).values()
    assert f"{address!r} is no address of a port." in outcome
