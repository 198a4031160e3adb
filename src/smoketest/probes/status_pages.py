"""What vendors say of themselves on their public status pages."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any
from xml.etree import ElementTree as ET

from .http import get
from .subjects import Probe, listed

STATUS_PAGES = {
    "aws": "https://status.aws.amazon.com/rss/all.rss",
    "azure": "https://azure.status.microsoft/en-us/status/feed/",
    "cloudflare": "https://www.cloudflarestatus.com/api/v2/status.json",
    "gcp": "https://status.cloud.google.com/en/feed.atom",
    "github": "https://www.githubstatus.com/api/v2/status.json",
    "heroku": "https://status.heroku.com/api/v4/current-status",
    "pypi": "https://status.python.org/api/v2/status.json",
    "sentry": "https://status.sentry.io/api/v2/status.json",
}
"""Pages that are known by a name."""

_ATOM = "{http://www.w3.org/2005/Atom}"
_OVER = re.compile(r"resolved|completed|operating normally|scheduled|maintenance", re.IGNORECASE)


class StatusPages(Probe):
    """No vendor tells of trouble on its public status page; by default a warning only.

    A page of Statuspage's kind says so itself, and so does Heroku's. A feed (RSS, Atom) has
    trouble where an entry of the last hours does not say that it is over.
    """

    abstract = True
    optional = True
    _extra = "http"
    _leaves = "a request in the vendor's log"
    pages: Collection[str] = ()
    """Names (``"aws"``, ``"azure"``, ``"cloudflare"``, ``"gcp"``, ``"github"``, ``"heroku"``,
    ``"pypi"``, ``"sentry"``), or URLs of Statuspage's ``/api/v2/status.json`` or of a feed."""
    tolerated: Collection[str] = ("none", "maintenance")
    """Indicators of Statuspage that pass; there are ``"minor"``, ``"major"`` and ``"critical"``
    as well."""
    hours: Annotated[float, "hours"] = 2
    """How long an entry of a feed counts."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The pages."""
        return listed(cls.pages, "pages")

    def check_vendor(self, page: str) -> None:
        """The vendor tells of no trouble."""
        answer = get(self, f"The status page of {page}", STATUS_PAGES.get(page, page))
        if answer.status != 200:
            self.fail(
                f"The status page of {page} answered {answer.status}. It may have moved."
                " Name it by its URL."
            )
        with self.explained(
            f"The status page of {page} cannot be read",
            "Name Statuspage's /api/v2/status.json, or a feed.",
            (ValueError, LookupError, TypeError, ET.ParseError),
        ):
            trouble = self._trouble(answer.text.lstrip())
        if trouble:
            self.fail(
                f"{page} tells of trouble: {trouble}. What depends on it may fail."
                " Look at its status page, and wait."
            )

    def _trouble(self, text: str) -> str:
        """Return what there is of it, or nothing."""
        return self._of_json(json.loads(text)) if text.startswith("{") else self._of_feed(text)

    def _of_json(self, data: dict[str, Any]) -> str:
        status = data["status"]
        if isinstance(status, list):  # Heroku's
            red = [f"{one['system']} is {one['status']}" for one in status]
            return ", ".join(one for one in red if not one.endswith(" is green"))
        return "" if status["indicator"] in self.tolerated else str(status["description"])

    def _of_feed(self, text: str) -> str:
        # Expat limits what entities may grow to, and the size of the answer is limited.
        root = ET.fromstring(text)  # noqa: S314 - see above
        since = datetime.now(UTC) - timedelta(hours=self.hours)
        entries = [*root.iter("item"), *root.iter(f"{_ATOM}entry")]
        recent = (entry for entry in entries if _when(entry) >= since)
        titles = (_text(entry, "title") for entry in recent if not _OVER.search(_words(entry)))
        return ", ".join(titles)


def _when(entry: ET.Element) -> datetime:
    updated = _text(entry, "updated")
    if updated:
        return datetime.fromisoformat(updated)
    when = parsedate_to_datetime(_text(entry, "pubDate"))
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _words(entry: ET.Element) -> str:
    return " ".join(_text(entry, tag) for tag in ("title", "description", "summary", "content"))


def _text(entry: ET.Element, tag: str) -> str:
    return (entry.findtext(tag) or entry.findtext(f"{_ATOM}{tag}") or "").strip()
