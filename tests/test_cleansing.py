"""No secret of the settings gets out in what a report says."""

from __future__ import annotations

import json
import re
import unittest
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import override_settings
from django.views.debug import SafeExceptionReporterFilter, get_default_exception_reporter_filter

from smoketest.cleansing import cleanse, cleanse_result, cleanser
from smoketest.results import Node, Outcome, Report, TestResult
from tests.conftest import MakeApp

STARS = "*" * 20
PASSWORD = "p@ss'w/rd \"ü\\x"


class OwnFilter(SafeExceptionReporterFilter):
    """Hides what Django's does not."""

    cleansed_substitute = r"\1#"
    hidden_settings = re.compile("COLOUR")


def cleansed(text: str, **values: Any) -> str:
    with override_settings(**values):
        return cleanser()(text)


@pytest.mark.parametrize(
    "name",
    ["PAYMENT_API", "SOME_AUTH", "MY_TOKEN", "STRIPE_KEY", "A_SECRET", "DB_PASS", "X_SIGNATURE"],
)
def test_the_value_of_a_setting_that_djangos_debug_page_hides_is_hidden(name: str) -> None:
    assert cleansed("got 'hush-hush-hush'!", **{name: "hush-hush-hush"}) == f"got '{STARS}'!"


def test_the_value_of_another_setting_stays() -> None:
    assert cleansed("got hush-hush-hush", SHOP_NAME="hush-hush-hush") == "got hush-hush-hush"


def test_secrets_are_found_in_nested_dictionaries_and_lists() -> None:
    shops = {"north": [{"url": "https://x.example", "password": "north-pole-7"}]}
    text = cleansed("https://x.example north-pole-7", SHOPS=shops)
    assert text == f"https://x.example {STARS}"


def test_everything_below_a_telling_name_is_a_secret() -> None:
    assert cleansed("sk_live_12345 is bad", API_KEYS={"stripe": ["sk_live_12345"]}) == (
        f"{STARS} is bad"
    )


def test_the_password_of_a_database_and_the_smoketest_tokens_are_secrets() -> None:
    databases = {"default": {**django_settings.DATABASES["default"], "PASSWORD": "db-password-1"}}
    with pytest.warns(UserWarning, match="Overriding setting DATABASES"):
        text = cleansed(
            "db-password-1 and token-0123456789",
            DATABASES=databases,
            SMOKETEST_TOKENS=["token-0123456789"],
        )
    assert text == f"{STARS} and {STARS}"


@pytest.mark.parametrize(
    "form",
    [
        PASSWORD,
        repr(PASSWORD)[1:-1],
        ascii(PASSWORD)[1:-1],
        json.dumps(PASSWORD)[1:-1],
        quote(PASSWORD, safe=""),
        quote(PASSWORD),
        quote_plus(PASSWORD),
        "p@ss&#x27;w/rd &quot;ü\\x",
    ],
)
def test_a_secret_is_hidden_however_it_is_written(form: str) -> None:
    assert cleansed(f"<{form}>", SHOP_PASSWORD=PASSWORD) == f"<{STARS}>"


def test_a_secret_in_bytes_is_hidden() -> None:
    assert cleansed("got b'\\xffsecret'", A_KEY=b"\xffsecret") == f"got b'{STARS}'"
    assert cleansed("got b'\\x00\\xffkey'", A_KEY=b"\x00\xffkey") == f"got b'{STARS}'"


LONG = "".join(f"{number:02}Kx" for number in range(40))
SHORT = "sk_live_4711-0815"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LONG, "x"),
        ("x", LONG),
        (LONG, f"{LONG}?"),
        (f"{LONG}=", f"{LONG}?"),
        ({"key": SHORT, "more": "y" * 100}, {"key": "z" * 100}),
        ({"before": "y" * 100, "key": SHORT, "after": "y" * 100}, {"key": "z"}),
        *(([("y" * number) + SHORT + "y" * 80], ["z" * 99]) for number in range(60)),
        *(([("y" * 80) + SHORT + "y" * number], ["z" * 99]) for number in range(60)),
    ],
)
def test_what_unittest_leaves_of_a_secret_that_it_shortens_is_hidden(
    one: object, other: object
) -> None:
    with pytest.raises(AssertionError) as caught:
        unittest.TestCase().assertEqual(one, other)
    assert "chars]" in str(caught.value)
    text = cleansed(str(caught.value), A_KEY=LONG, B_KEY=SHORT)
    pieces = {form[start : start + 5] for form in (LONG, SHORT) for start in range(len(form) - 4)}
    assert [piece for piece in pieces if piece in text] == []


def test_what_is_left_of_a_secret_between_two_marks_is_hidden() -> None:
    text = f"'{LONG[:7]}[33 chars]{LONG[40:60]}[91 chars]{LONG[-9:]}'"
    assert cleansed(text, A_KEY=LONG) == f"'{STARS}[33 chars]{STARS}[91 chars]{STARS}'"


def test_what_stands_beside_a_mark_and_is_no_secret_stays() -> None:
    text = "'abcd[12 chars][3 chars]wxyz' and 'abc [truncated]... [5 chars]'"
    assert cleansed(text, A_KEY=SHORT) == text


def test_the_lines_of_a_long_key_are_hidden_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nAAAA\n-----END KEY-----\n"
    assert "MIIEvQIBADANBgkqhkiG" not in cleansed("    MIIEvQIBADANBgkqhkiG\n", SSH_KEY=key)


def test_the_password_of_any_url_is_hidden_though_no_setting_has_it() -> None:
    text = "could not connect to postgres://shop:hunter2@db.example:5432/shop?x=1"
    assert cleansed(text) == (
        f"could not connect to postgres://shop:{STARS}@db.example:5432/shop?x=1"
    )
    assert cleansed("redis://:hunter2@cache/0") == f"redis://:{STARS}@cache/0"


@pytest.mark.parametrize("text", ["http://host:8000/a@b", "https://ann@host/", "see a:b@c"])
def test_a_url_without_a_password_stays(text: str) -> None:
    assert cleansed(text) == text


@pytest.mark.parametrize(
    "value", ["", "abc", "True", "localhost", "default", None, 3600, 1.5, object()]
)
def test_a_trivial_value_hides_nothing(value: object) -> None:
    text = "abc True localhost default None 3600 1.5"
    assert cleansed(text, SOME_TOKEN=value) == text


def test_the_name_of_a_field_that_is_a_word_of_the_settings_name_hides_nothing() -> None:
    text = "password=x, X-API-KEY: y"
    assert cleansed(text, AXES_PASSWORD_FORM_FIELD="password", HTTP_X_API_KEY="X-API-KEY") == text


def test_a_password_that_is_the_whole_name_is_hidden() -> None:
    assert cleansed("a password!", SHOPS={"password": "password"}) == f"a {STARS}!"


def test_a_short_secret_is_hidden_as_a_word_only() -> None:
    text = 'File "django/db/backends/postgresql/base.py": postgres refused'
    assert cleansed(text, DB_PASSWORD="postgres") == (
        f'File "django/db/backends/postgresql/base.py": {STARS} refused'
    )


def test_a_long_secret_is_hidden_inside_a_word_too() -> None:
    assert cleansed("xlong-secret-valuex", A_SECRET="long-secret-value") == f"x{STARS}x"


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    assert cleansed("secret-one-two", A_KEY="secret-one", B_KEY="secret-one-two") == STARS


def test_names_of_models_and_classes_are_no_secrets() -> None:
    text = "auth.User django.contrib.auth.hashers.MD5PasswordHasher read"
    assert cleansed(text, AUTH_USER_MODEL="auth.User", OAUTH2={"SCOPES": ["read"]}) == text


def test_an_empty_secret_key_is_no_obstacle() -> None:
    assert cleansed("fine", SECRET_KEY="") == "fine"


class ForeignFilter:
    """Has none of what Django's filter has besides its documented methods."""


@pytest.fixture
def _no_cached_filter() -> Iterator[None]:
    get_default_exception_reporter_filter.cache_clear()  # type: ignore[attr-defined]
    yield
    get_default_exception_reporter_filter.cache_clear()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_no_cached_filter")
def test_a_projects_own_filter_decides() -> None:
    text = cleansed(
        "ultramarine and hush-hush-hush",
        DEFAULT_EXCEPTION_REPORTER_FILTER="tests.test_cleansing.OwnFilter",
        COLOUR="ultramarine",
        A_KEY="hush-hush-hush",
    )
    assert text == r"\1# and hush-hush-hush"


@pytest.mark.usefixtures("_no_cached_filter")
def test_a_filter_that_is_not_made_from_djangos_is_replaced_by_it() -> None:
    text = cleansed(
        "hush-hush-hush",
        DEFAULT_EXCEPTION_REPORTER_FILTER="tests.test_cleansing.ForeignFilter",
        A_KEY="hush-hush-hush",
    )
    assert text == STARS


SPEAKING = TestResult(id="a.b", outcome=Outcome.ERRORED, message="hush-hush", traceback="hush-hush")


@override_settings(A_KEY="hush-hush")
def test_a_report_is_cleansed_in_messages_and_tracebacks() -> None:
    (result,) = cleanse(Report.from_results([SPEAKING], selected=1)).results
    assert (result.message, result.traceback) == (STARS, STARS)


def test_the_problem_of_a_node_is_cleansed() -> None:
    silent = Node(name="web-1", problem="amqp://shop:hunter2@broker refused")
    (node,) = cleanse(Report(passed=False, nodes=(silent,))).nodes
    assert "hunter2" not in node.problem
    assert node.problem.endswith("@broker refused")


@override_settings(A_KEY="hush-hush")
def test_a_single_result_can_be_cleansed() -> None:
    assert cleanse_result(SPEAKING).message == STARS


def test_a_report_that_says_nothing_is_not_copied() -> None:
    report = Report.from_results([TestResult(id="a.b", outcome=Outcome.PASSED)], selected=1)
    assert cleanse(report) is report
    assert cleanse_result(report.results[0]) is report.results[0]


def test_the_command_hides_secrets_too(
    settings: Any, make_app: MakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.A_KEY = "hush-hush"
    source = """
        from smoketest import SmokeTest

        class LoudTest(SmokeTest):
            def test_loud(self):
                raise ValueError("the key is hush-hush")
    """
    make_app("cshop", {"smoke.py": source})
    with pytest.raises(SystemExit):
        call_command("smoketest", verbosity=3)
    printed = "".join(capsys.readouterr())
    assert f"the key is {STARS}" in printed
    assert "hush-hush" not in printed
