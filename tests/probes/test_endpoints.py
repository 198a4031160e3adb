"""Endpoints: what they answer, where they send us, and how long their certificates last."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.test import override_settings

from tests.probes.running import outcomes
from tests.probes.web import Web, served


@pytest.fixture
def web() -> Iterator[Web]:
    with served() as web:
        yield web


def probed(endpoint: str | dict[str, Any], **attributes: Any) -> str:
    [outcome] = outcomes("Endpoints", endpoints=[endpoint], **attributes).values()
    return outcome


def test_endpoint_that_answers_passes_and_is_named_by_its_url(web: Web) -> None:
    got = outcomes("Endpoints", endpoints=[web.url()])
    assert got == {f"test_endpoint_http_127_0_0_1_{web.server_port}": "passed"}


def test_other_status_fails(web: Web) -> None:
    outcome = probed(web.url("/gone?token=hunter2"))
    assert outcome.startswith(f"failed: {web.url('/gone')} answered 404. The probe expects 200.")
    assert "hunter2" not in outcome


def test_expected_status_and_text_pass(web: Web) -> None:
    assert probed({"url": web.url("/gone"), "status": 404, "contains": "not here"}) == "passed"


def test_missing_text_fails(web: Web) -> None:
    outcome = probed({"url": web.url(), "contains": "unwell"})
    assert "does not contain 'unwell'." in outcome


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        ({"status": "ok", "db.replicas.1": 2}, "passed"),
        ({"db.replicas.0": 2}, "has 1 at 'db.replicas.0'. The probe expects 2."),
        ({"db.primary": 1}, "has no 'db.primary': KeyError: 'primary'."),
        ({"status.code": 1}, "has no 'status.code': LookupError: there is nothing below 'code'."),
        ({"db.replicas.7": 1}, "has no 'db.replicas.7': IndexError: "),
    ],
)
def test_json_is_compared_by_path(web: Web, expected: dict[str, Any], told: str) -> None:
    web.answers["/health"] = 200, {}, b'{"status": "ok", "db": {"replicas": [1, 2]}}'
    assert told in probed({"url": web.url("/health"), "json": expected})


def test_answer_that_is_no_json_fails(web: Web) -> None:
    assert "did not answer with JSON" in probed({"url": web.url(), "json": {"status": "ok"}})


def test_redirect_is_compared_and_not_followed(web: Web) -> None:
    web.answers["/old"] = 301, {"Location": "/new?token=hunter2"}, b""
    good = {"url": web.url("/old"), "redirects_to": "/new?token=hunter2"}
    assert probed(good) == "passed"
    outcome = probed({**good, "redirects_to": "/newer"})
    assert "redirects to '/new?token=hunter2'." in outcome
    assert len(web.asked) == 2
    assert probed({**good, "url": web.url()}).startswith(f"failed: {web.url()} redirects to ''.")


def test_slow_answer_fails(web: Web) -> None:
    assert "The probe allows 0 s." in probed({"url": web.url(), "max_seconds": 0})


def test_answer_without_an_end_fails(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smoketest.probes.http._MOST", 1000)
    web.answers["/long"] = 200, {}, bytes(2000)
    assert "/long does not end: " in probed(web.url("/long"))


def test_server_that_is_down_fails(closed_port: int) -> None:
    outcome = probed(f"http://bob:hunter2@127.0.0.1:{closed_port}/")
    assert outcome.startswith(
        f"failed: http://127.0.0.1:{closed_port}/ does not answer: ConnectError: "
    )
    assert "hunter2" not in outcome


@pytest.mark.usefixtures("impatient")
def test_server_that_says_nothing_fails_in_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert "does not answer: ReadTimeout" in probed(url)


def test_header_is_sent_from_a_setting_and_not_shown(web: Web) -> None:
    endpoint = {"url": web.url("/gone"), "headers": {"Authorization": "setting:API_TOKEN"}}
    with override_settings(API_TOKEN="Bearer hunter2"):
        outcome = probed(endpoint)
    assert web.asked[0]["Authorization"] == "Bearer hunter2"
    assert "hunter2" not in outcome


def test_header_that_cannot_be_sent_is_not_shown(web: Web) -> None:
    endpoint = {"url": web.url(), "headers": {"Authorization": "Bearer hunter2\0"}}
    outcome = probed(endpoint)
    assert "does not answer: LocalProtocolError: Illegal header value b'…'" in outcome
    assert "hunter2" not in outcome


def test_unknown_key_is_an_error_with_a_near_match() -> None:
    outcome = probed({"url": "https://example.com/", "contain": "x"})
    assert "has the key 'contain', which the probe does not know." in outcome
    assert outcome.endswith("Did you mean 'contains'?")


def test_url_without_a_scheme_is_an_error() -> None:
    assert "An endpoint has the url 'example.com'." in probed("example.com")


def test_missing_httpx_names_the_extra(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    assert probed(web.url()).endswith('Run: pip install "django-smoketest[http]"')


# -- certificates


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def certified(authority: trustme.CA, days: float, folder: Path, name: str = "127.0.0.1") -> str:
    """What becomes of an endpoint whose certificate ends in so many days."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    end = datetime.now(UTC) + timedelta(days=days)
    authority.issue_cert(name, not_after=end).configure_cert(context)
    trusted = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with served(context) as web:
        return probed(web.url(), ca_file=str(trusted))


def test_certificate_that_lasts_passes(authority: trustme.CA, tmp_path: Path) -> None:
    assert certified(authority, 20, tmp_path) == "passed"


def test_certificate_that_ends_soon_fails(authority: trustme.CA, tmp_path: Path) -> None:
    outcome = certified(authority, 3.55, tmp_path)
    assert "ends in 3.5 days. The probe asks for 14." in outcome


def test_certificate_that_has_ended_fails(authority: trustme.CA, tmp_path: Path) -> None:
    assert "certificate has expired" in certified(authority, -1, tmp_path)


def test_certificate_of_another_name_fails(authority: trustme.CA, tmp_path: Path) -> None:
    outcome = certified(authority, 20, tmp_path, "other.example")
    assert "does not answer: ConnectError: " in outcome
    assert "certificate" in outcome


def test_certificate_of_an_unknown_authority_fails(authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with served(context) as web:
        assert "certificate verify failed" in probed(web.url())
