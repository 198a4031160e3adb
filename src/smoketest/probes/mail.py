"""The mail server lets us in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core import mail
from django.core.mail.backends import console
from django.core.mail.backends.base import BaseEmailBackend

from .subjects import Probe


class Mail(Probe):
    """The mail backend connects, encrypts and authenticates as configured. Nothing is sent.

    A backend that makes no connection of its own (console, files, memory) is skipped.
    """

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The aliases of ``MAILERS``, or ``default`` where that setting is not in use."""
        return list(getattr(settings, "MAILERS", ["default"]))

    def check_mailer(self, alias: str) -> None:
        """The server accepts the connection and the credentials."""
        backend = _backend(alias)
        cls = type(backend)
        if cls.open is BaseEmailBackend.open or isinstance(backend, console.EmailBackend):
            self.skipTest(f"{cls.__module__}.{cls.__name__} makes no connection.")
        if getattr(backend, "timeout", 0) is None:
            backend.timeout = self.patience
        secrets = [getattr(backend, "password", None)]
        with self.explained(
            f"Mailer {alias!r} cannot log in to its server",
            "Start the server, or correct host, port, TLS, user and password of the settings.",
            secrets=secrets,
        ):
            try:
                backend.open()
            finally:
                backend.close()


def _backend(alias: str) -> Any:
    mailers = getattr(mail, "mailers", None)  # from Django 6.1 on
    return mail.get_connection() if mailers is None else mailers[alias]
