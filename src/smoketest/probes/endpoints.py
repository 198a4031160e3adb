"""What other systems answer over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any
from urllib.parse import urlsplit

from .http import Answer, get
from .sources import value_from
from .subjects import Probe, did_you_mean, listed, without_credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    url: str
    status: int = 200
    contains: str = ""
    json: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    redirects_to: str = ""
    max_seconds: float | None = None


class Endpoints(Probe):
    """Each URL answers as expected, in time, by a certificate that stays valid for some days.

    It is asked by ``GET``, once, and redirects are not followed. The certificate is
    verified, as a browser does.
    """

    abstract = True
    _extra = "http"
    _leaves = "a request in the other system's log"
    endpoints: Collection[str | Mapping[str, Any]] = ()
    """URLs; or dictionaries with ``url`` and what is expected of it: ``status`` (200),
    ``contains`` (text), ``json`` (values by their path: ``{"db.status": "ok"}``),
    ``redirects_to`` (the ``Location``), ``max_seconds``, and ``headers`` to send, whose values
    may be ``"setting:NAME"``, ``"variable:NAME"`` or ``"file:PATH"``."""
    max_seconds: Annotated[float, "seconds"] = 2.0
    """Seconds until the answer is there, with the connection."""
    min_days: Annotated[float, "days"] = 14
    """Days that the certificate stays valid."""
    ca_file: str = ""
    """A file with the certificates to trust; those of the system by default."""

    @classmethod
    def subjects(cls) -> Iterable[tuple[str, _Endpoint]]:
        """The endpoints, each named by its URL."""
        parsed = map(_parsed, listed(cls.endpoints, "endpoints"))
        return [(endpoint.url, endpoint) for endpoint in parsed]

    def check_endpoint(self, subject: tuple[str, _Endpoint]) -> None:
        """The URL answers as expected, in time."""
        endpoint = subject[1]
        name = without_credentials(endpoint.url)
        limit = self.max_seconds if endpoint.max_seconds is None else endpoint.max_seconds
        start = time.monotonic()
        answer = self._ask(name, endpoint)
        seconds = time.monotonic() - start
        self._compare(name, endpoint, answer)
        if seconds > limit:
            self.fail(
                f"{name} took {seconds:.2f} s. The probe allows {limit:g} s. Ask those who run it,"
                " or raise max_seconds."
            )
        if answer.days is not None and answer.days < self.min_days:
            self.fail(
                f"The certificate of {name} ends in {answer.days:.1f} days. The probe asks for"
                f" {self.min_days:g}. Renew it, and look at what should have done so by itself."
            )

    def _ask(self, name: str, endpoint: _Endpoint) -> Answer:
        headers = {key: value_from(value) for key, value in endpoint.headers.items()}
        return get(
            self,
            name,
            endpoint.url,
            headers=headers,
            ca_file=self.ca_file,
            secrets=headers.values(),
        )

    def _compare(self, name: str, endpoint: _Endpoint, answer: Answer) -> None:
        to = without_credentials(answer.location)
        redirected = bool(endpoint.redirects_to) and 300 <= answer.status < 400
        if answer.status != endpoint.status and not redirected:
            self.fail(
                f"{name} answered {answer.status}{to and f' to {to}'}. The probe expects"
                f" {endpoint.status}. Look at that system, or at the headers that it wants."
            )
        if endpoint.redirects_to and answer.location != endpoint.redirects_to:
            self.fail(
                f"{name} redirects to {to!r}. The probe expects {endpoint.redirects_to!r}."
                " Correct one of them."
            )
        if endpoint.contains not in answer.text:
            self.fail(
                f"{name} does not contain {endpoint.contains!r}. Its status is right, and something"
                " else is shown. Open it and look."
            )
        if endpoint.json:
            self._compare_json(name, endpoint.json, answer.text)

    def _compare_json(self, name: str, expected: Mapping[str, Any], text: str) -> None:
        with self.explained(
            f"{name} did not answer with JSON", "Open it and look.", json.JSONDecodeError
        ):
            data = json.loads(text)
        for path, value in expected.items():
            with self.explained(f"{name} has no {path!r}", "Open it and look.", LookupError):
                found = _value_at(data, path)
            if found != value:
                self.fail(
                    f"{name} has {found!r} at {path!r}. The probe expects {value!r}. That system"
                    " says that it is unwell, or has changed. Ask those who run it."
                )


def _parsed(entry: str | Mapping[str, Any]) -> _Endpoint:
    values = {"url": entry} if isinstance(entry, str) else dict(entry)
    known = [one.name for one in fields(_Endpoint)]
    for key in values:
        if key not in known:
            raise ValueError(
                f"An endpoint has the key {key!r}, which the probe does not know. It would be"
                f" ignored. Use one of {', '.join(known)}.{did_you_mean(key, known)}"
            )
    if urlsplit(values.get("url", "")).scheme not in {"http", "https"}:
        raise ValueError(
            f"An endpoint has the url {without_credentials(str(values.get('url')))!r}. The probe"
            " asks by HTTP. Write 'https://…'."
        )
    return _Endpoint(**values)


def _value_at(data: Any, path: str) -> Any:
    """Return what stands at ``"db.replicas.0"``; raise ``LookupError`` where nothing does."""
    for step in path.split("."):
        if isinstance(data, list) and step.isdigit():
            data = data[int(step)]
        elif isinstance(data, dict):
            data = data[step]
        else:
            raise LookupError(f"there is nothing below {step!r}")
    return data
