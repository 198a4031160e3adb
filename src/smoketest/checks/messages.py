"""Every system check, as the reference describes it: its id, its sentence and its hint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage

from smoketest.conf import SETTINGS, Setting

DOCUMENTATION = "https://django-smoketest.readthedocs.io/en/stable/reference/checks.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check, as the reference describes it."""

    id: str
    level: int
    """``django.core.checks.ERROR`` or ``WARNING``."""
    sentence: str
    """What is wrong; words in braces are filled in."""
    hint: str
    """What to do about it."""

    @property
    def page(self) -> str:
        """Where the reference has it."""
        return f"{DOCUMENTATION}#{self.id.lower().replace('.', '-')}"

    def message(self, **words: object) -> CheckMessage:
        """Return the message about one thing that is wrong, with ``words`` in the braces."""
        sentence, hint = self.sentence.format(**words), self.hint.format(**words)
        return CheckMessage(self.level, sentence, f"{hint} See {self.page}", id=self.id)


def _of_setting(number: int, setting: Setting[Any]) -> Check:
    return Check(
        id=f"smoketest.E{number:03}",
        level=checks.ERROR,
        sentence=f"{setting.name} must be {setting.kind.name}.",
        hint=setting.remedy,
    )


NUMBERS = (*range(1, 16), *range(31, 100))
"""Of the checks of the settings: what lies between belongs to hazards."""

SETTING_CHECKS: dict[str, Check] = {
    setting.name: _of_setting(number, setting)
    for number, setting in zip(NUMBERS, SETTINGS, strict=False)
}
"""smoketest.E001 to smoketest.E015 and those from smoketest.E031 on, in the order of the
settings' reference. A new setting stands last there, so that no id ever changes."""

BAD_PROBE = Check(
    id="smoketest.E016",
    level=checks.ERROR,
    sentence="SMOKETEST_PROBES names {path!r}, which {reason}.",
    hint="Name a class derived from smoketest.SmokeTest by its dotted path.",
)

BAD_RENDERER = Check(
    id="smoketest.E017",
    level=checks.ERROR,
    sentence="SMOKETEST_RENDERERS names something that is no renderer: {reason}",
    hint="Name a class by its dotted path that has format, media_type, charset and render().",
)

SHORT_TOKEN = Check(
    id="smoketest.E018",
    level=checks.ERROR,
    sentence="{number} of the SMOKETEST_TOKENS is shorter than {least} characters, "
    "so it can be guessed.",
    hint='Make one with python -c "import secrets; print(secrets.token_urlsafe(32))".',
)

NO_ROLLBACK = Check(
    id="smoketest.E019",
    level=checks.ERROR,
    sentence="The database {alias!r} cannot roll back ({reason}), so what a smoke test writes "
    "there would stay.",
    hint="Use an engine with transactions, or keep every test away from it with the "
    "attribute 'databases'.",
)

UNKNOWN_CACHE = Check(
    id="smoketest.E020",
    level=checks.ERROR,
    sentence="SMOKETEST_HISTORY_CACHE names {alias!r}, but CACHES has no such alias, so no run "
    "is remembered.{near}",
    hint="Name an alias of CACHES.",
)

PADDED_TOKEN = Check(
    id="smoketest.E021",
    level=checks.ERROR,
    sentence="{number} of the SMOKETEST_TOKENS begins or ends with white space, which no request "
    "can send, so it admits nobody.",
    hint="Call strip() on what is read from a file or a variable, which often ends in a new line.",
)

UNKNOWN_SETTING = Check(
    id="smoketest.W001",
    level=checks.WARNING,
    sentence="{name} is no setting of django-smoketest, so it has no effect.{near}",
    hint="Correct the name, or remove the setting.",
)

UNKNOWN_APP = Check(
    id="smoketest.W002",
    level=checks.WARNING,
    sentence="SMOKETEST_SKIP_APPS names {name!r}, but no app in INSTALLED_APPS is called "
    "that, so nothing is left out.{near}",
    hint="Name the app by its module path, its label or the path of its AppConfig.",
)

SHORT_DEADLINE = Check(
    id="smoketest.W003",
    level=checks.WARNING,
    sentence="SMOKETEST_DEADLINE ({deadline:g} s) is shorter than SMOKETEST_TIMEOUT "
    "({timeout:g} s), so the run ends before a test that hangs is over.",
    hint="Raise the deadline, or lower the time-out.",
)

OPEN_DETAILS = Check(
    id="smoketest.W004",
    level=checks.WARNING,
    sentence='SMOKETEST_ANONYMOUS is "details" and there are no SMOKETEST_TOKENS, so everybody '
    "who finds the URL reads messages and tracebacks.",
    hint="Add a token, and show strangers a summary.",
)

FOREIGN_HOST = Check(
    id="smoketest.W005",
    level=checks.WARNING,
    sentence="SMOKETEST_HOST is {host!r}, which ALLOWED_HOSTS does not admit, so every request "
    "of self.client is answered by 400.",
    hint="Name a host of ALLOWED_HOSTS, or leave SMOKETEST_HOST out.",
)

MORE_THAN_POOL = Check(
    id="smoketest.W006",
    level=checks.WARNING,
    sentence="A run may hold {connections} connections to the database {alias!r} "
    "(SMOKETEST_MAX_CONNECTIONS), more than the {pool} of the site's own pool, "
    "and they come on top of these.",
    hint="Lower SMOKETEST_MAX_CONNECTIONS, or see that the server admits the sum.",
)

UNSUPPORTED_DATABASE = Check(
    id="smoketest.W007",
    level=checks.WARNING,
    sentence="The database {alias!r} is neither PostgreSQL nor MySQL, MariaDB or SQLite "
    "({vendor}), so only Django itself keeps a smoke test from committing there.",
    hint="Keep tests that use the driver directly away from it.",
)

UNKNOWN_PERMISSION = Check(
    id="smoketest.W008",
    level=checks.WARNING,
    sentence="SMOKETEST_PERMISSION is {permission!r}, but no app in INSTALLED_APPS has the "
    "label {label!r}, so only superusers have it.{near}",
    hint="Write it as 'app_label.codename'.",
)

TABLES_WITHOUT_TRANSACTIONS = Check(
    id="smoketest.W009",
    level=checks.WARNING,
    sentence="Tables of the database {alias!r} are of an engine without transactions ({tables}), "
    "so nothing would undo what is written to them. A smoke test that does is refused, except "
    "where a trigger or a procedure does it.",
    hint="Convert them (ALTER TABLE … ENGINE=InnoDB), or keep tests that write away from them.",
)

ASSERTS_REMOVED = Check(
    id="smoketest.W010",
    level=checks.WARNING,
    sentence="Python was started with -O or PYTHONOPTIMIZE, which removes the assert statements "
    "of the smoke tests in {place}. The tests that verify by them would verify nothing, so each "
    "of them errors.",
    hint="Run them without -O, or write self.assertTrue(…) and the like instead.",
)

SHADOWED = Check(
    id="smoketest.W011",
    level=checks.WARNING,
    sentence="Python imports {used} as {module}, and never {shadowed}, which has the same name, "
    "so the smoke tests there do not run.",
    hint="Move the tests of both into one package smoke/, which has an __init__.py, or remove one.",
)

CHECKS: tuple[Check, ...] = (
    *SETTING_CHECKS.values(),
    BAD_PROBE,
    BAD_RENDERER,
    SHORT_TOKEN,
    NO_ROLLBACK,
    UNKNOWN_CACHE,
    PADDED_TOKEN,
    UNKNOWN_SETTING,
    UNKNOWN_APP,
    SHORT_DEADLINE,
    OPEN_DETAILS,
    FOREIGN_HOST,
    MORE_THAN_POOL,
    UNSUPPORTED_DATABASE,
    UNKNOWN_PERMISSION,
    TABLES_WITHOUT_TRANSACTIONS,
    ASSERTS_REMOVED,
    SHADOWED,
)
"""Every check, in the order of the reference."""
