"""Mail: a server that lets us in, one that does not, and none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import django
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from django.test import override_settings

from tests.probes.running import outcomes

SMTP = "django.core.mail.backends.smtp.EmailBackend"


class Inbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.arrived: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.arrived.append(envelope.content)
        return "250 OK"


@pytest.fixture
def smtp(closed_port: int) -> Iterator[Controller]:
    """An SMTP server that lets in `bob` with the password `hunter2hunter2`."""

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        known = (data.login, data.password) == (b"bob", b"hunter2hunter2")
        return AuthResult(success=known, handled=False)

    controller = Controller(
        Inbox(),
        hostname="127.0.0.1",
        port=closed_port,
        authenticator=authenticate,
        auth_require_tls=False,
    )
    controller.start()
    yield controller
    controller.stop()


def mailer(backend: str, port: int, password: str) -> AbstractContextManager[object]:
    if django.VERSION >= (6, 1):
        options = {"host": "127.0.0.1", "port": port, "username": "bob", "password": password}
        known = options if backend == SMTP else {}
        return override_settings(MAILERS={"default": {"BACKEND": backend, "OPTIONS": known}})
    return override_settings(
        EMAIL_BACKEND=backend,
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        EMAIL_HOST_USER="bob",
        EMAIL_HOST_PASSWORD=password,
    )


def probed(port: int, password: str = "hunter2hunter2", backend: str = SMTP) -> str:
    with mailer(backend, port, password):
        return outcomes("Mail")["test_mailer_default"]


def test_server_that_lets_us_in_passes_and_gets_no_mail(smtp: Controller) -> None:
    assert probed(smtp.port) == "passed"
    assert smtp.handler.arrived == []


def test_wrong_password_fails_and_is_not_shown(smtp: Controller) -> None:
    outcome = probed(smtp.port, "geheim-geheim")
    assert "cannot log in to its server: SMTPAuthenticationError" in outcome
    assert "geheim" not in outcome


def test_server_that_is_down_fails(closed_port: int) -> None:
    outcome = probed(closed_port)
    assert outcome.startswith("failed: Mailer 'default' cannot log in to its server: Connection")


def test_backend_without_a_connection_is_skipped() -> None:
    for name in ("console", "dummy", "locmem"):
        backend = f"django.core.mail.backends.{name}.EmailBackend"
        assert probed(0, backend=backend) == f"skipped: {backend} makes no connection."
