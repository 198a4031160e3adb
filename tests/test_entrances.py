"""One language at both entrances: the same selection gives the same tests by URL and command."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from tests.conftest import MakeApp

SHOP = """
    from smoketest import SmokeTest, tag

    class Catalogue(SmokeTest):
        @tag("db", "fast")
        def test_read(self): pass

        @tag("db")
        def test_write(self): pass

    @tag("network")
    class Payment(SmokeTest):
        def test_provider(self): pass
"""
BANK = """
    from smoketest import SmokeTest, tag

    class Account(SmokeTest):
        @tag("db", "slow")
        def test_read(self): pass
"""
READ, WRITE = "shop.smoke.Catalogue.test_read", "shop.smoke.Catalogue.test_write"
PROVIDER, ACCOUNT = "shop.smoke.Payment.test_provider", "bank.smoke.deep.Account.test_read"
BROKEN = "cellar.smoke"
ALL = [READ, WRITE, PROVIDER, ACCOUNT, BROKEN]

UNKNOWN = (
    "Unknown label 'shpo': no app, module, class or method of that name has smoke tests."
    " Did you mean 'shop'? Known labels: bank, cellar, shop."
)

Words = list[tuple[str, str]]
"""Parameters and their values, in the names of the URL."""

Entrance = Callable[[Words, bool], list[str]]


@pytest.fixture(autouse=True)
def apps(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": SHOP})
    make_app("bank", {"smoke/deep.py": BANK})
    make_app("cellar", {"smoke.py": "1 / 0"})


def by_url(words: Words, listing: bool) -> list[str]:
    more = [("list", "1")] if listing else []
    query = urlencode([*words, *more, ("format", "json")])
    response = Client(raise_request_exception=False).get(f"/smoketest/?{query}")
    return ids(response.content.decode())


FLAGS = {"test": "", "tag": "--tag=", "exclude-tag": "--exclude-tag=", "k": "-k"}


def by_command(words: Words, listing: bool) -> list[str]:
    more = ["--list"] if listing else []
    arguments = [f"{FLAGS[name]}{value}" for name, value in words]
    out = io.StringIO()
    try:
        call_command("smoketest", *arguments, *more, "--format=json", stdout=out, stderr=out)
    except CommandError as error:
        out.write(json.dumps({"error": str(error)}))
    except SystemExit:
        pass
    return ids(out.getvalue().splitlines()[0])


def ids(text: str) -> list[str]:
    """Return the tests of a report or a list, or the message of an error."""
    answer = json.loads(text)
    if "error" in answer:
        return [answer["error"]]
    return answer.get("tests") or [one["id"] for one in answer.get("results", [])]


@pytest.mark.django_db
@pytest.mark.parametrize("listing", [False, True])
@pytest.mark.parametrize("entrance", [by_url, by_command])
@pytest.mark.parametrize(
    ("words", "selected"),
    [
        ([], ALL),
        ([("test", "shop")], [READ, WRITE, PROVIDER]),
        ([("test", "shop.smoke")], [READ, WRITE, PROVIDER]),
        ([("test", "shop.smoke.Catalogue")], [READ, WRITE]),
        ([("test", READ)], [READ]),
        ([("test", "bank.smoke.deep")], [ACCOUNT]),
        ([("test", "bank"), ("test", PROVIDER)], [PROVIDER, ACCOUNT]),
        ([("test", "cellar.smoke.Wine.test_it")], [BROKEN]),
        ([("tag", "db")], [READ, WRITE, ACCOUNT, BROKEN]),
        ([("tag", "fast"), ("tag", "network")], [READ, PROVIDER, BROKEN]),
        ([("exclude-tag", "db")], [PROVIDER, BROKEN]),
        ([("tag", "db"), ("exclude-tag", "slow")], [READ, WRITE, BROKEN]),
        ([("k", "read")], [READ, ACCOUNT, BROKEN]),
        ([("k", "*.test_read")], [READ, ACCOUNT, BROKEN]),
        ([("k", "shop*read"), ("k", "Payment")], [READ, PROVIDER, BROKEN]),
        ([("test", "shop"), ("tag", "db"), ("k", "write")], [WRITE]),
        ([("test", "shop"), ("k", "nothing_like_it")], []),
        ([("test", "shpo")], [UNKNOWN]),
    ],
)
def test_a_selection_gives_the_same_tests(
    entrance: Entrance, words: Words, selected: list[str], listing: bool
) -> None:
    assert entrance(words, listing) == selected
