"""A selection chooses what its words say, and refuses words that mean nothing."""

from __future__ import annotations

import tracemalloc
import unittest
from collections.abc import Collection
from typing import Any

import pytest

from smoketest.exceptions import InvalidSelection
from smoketest.selection import Candidate, Selection

APPS = ("shop", "bank", "empty", "company.empty")


def candidate(
    address: str,
    app: str = "",
    *,
    tags: Collection[str] = (),
    found_in: Collection[str] = (),
    broken: bool = False,
) -> Candidate:
    """Return a candidate with the id ``address``, whose class is in the smoke module."""
    module = address.partition(".smoke.")[0] + ".smoke"
    test = type("T", (unittest.TestCase,), {"__module__": module, "runTest": lambda self: None})()
    modules = tuple(found_in) or (module,)
    apps = (app,) if app else ()
    return Candidate(address, test, apps, modules, frozenset(tags), broken)


CATALOGUE = candidate("shop.smoke.Catalogue.test_read", "shop", tags={"db"})
PAYMENT = candidate("shop.smoke.Catalogue.test_pay", "shop", tags={"db", "network"})
ORDERS = candidate("shop.smoke.orders.Orders.test_order", "shop", tags={"slow"})
BALANCE = candidate("bank.smoke.Balance.test_sum", "bank")
PROBE = candidate("probes.smoke.Disk.test_free", tags={"system"})
ALL = [CATALOGUE, PAYMENT, ORDERS, BALANCE, PROBE]

BROKEN_MODULE = candidate("shop.smoke.stock", "shop", broken=True)
BROKEN_CLASS = candidate("bank.smoke.Loans", "bank", broken=True)


def chosen(candidates: Collection[Candidate] = ALL, **words: tuple[str, ...]) -> list[Candidate]:
    return Selection(**words).select(list(candidates), APPS)


def test_the_empty_selection_is_everything_in_order() -> None:
    assert chosen() == ALL


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("shop",), [CATALOGUE, PAYMENT, ORDERS]),
        (("shop.smoke",), [CATALOGUE, PAYMENT, ORDERS]),
        (("shop.smoke.orders",), [ORDERS]),
        (("shop.smoke.Catalogue",), [CATALOGUE, PAYMENT]),
        (("shop.smoke.Catalogue.test_pay",), [PAYMENT]),
        (("probes.smoke.Disk",), [PROBE]),
        (("bank", "shop.smoke.orders"), [ORDERS, BALANCE]),
        (("shop", "shop.smoke.orders"), [CATALOGUE, PAYMENT, ORDERS]),
        (("empty",), []),
        (("company.empty",), []),
        (("empty", "company.empty"), []),
    ],
)
def test_labels_are_apps_packages_modules_classes_or_methods(
    labels: tuple[str, ...], expected: list[Candidate]
) -> None:
    assert chosen(labels=labels) == expected


def test_an_app_label_that_is_not_its_module_path_selects_the_app() -> None:
    elsewhere = candidate("company.bank.smoke.Balance.test_sum", "bank")
    for label in ("bank", "company", "company.bank", "company.bank.smoke.Balance"):
        assert chosen([*ALL[:3], elsewhere], labels=(label,)) == [elsewhere]


def test_a_class_is_selected_by_the_module_that_imports_it_too() -> None:
    imported = candidate("shop.smoke.Base.test_it", "bank", found_in=["bank.smoke.more"])
    for label in ("bank", "bank.smoke", "bank.smoke.more", "bank.smoke.more.Base.test_it"):
        assert imported in chosen([*ALL, imported], labels=(label,))


def test_the_name_of_classes_with_one_address_means_all_of_them() -> None:
    second = candidate("shop.smoke.Catalogue-2.test_pay", "shop")
    candidates = [*ALL, second]
    assert chosen(candidates, labels=("shop.smoke.Catalogue.test_pay",)) == [PAYMENT, second]
    assert chosen(candidates, labels=("shop.smoke.Catalogue-2",)) == [second]


def test_label_of_an_app_without_tests_is_refused_beside_one_that_has_some() -> None:
    """A run of the others would pass as if it had verified that app, too."""
    with pytest.raises(InvalidSelection) as caught:
        chosen(labels=("bank", "empty"))
    assert str(caught.value).startswith("Label 'empty' selects no test: that app has none")
    assert str(caught.value).endswith("Known labels: bank, shop.")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"tags": ("db",)}, [CATALOGUE, PAYMENT]),
        ({"tags": ("network", "slow")}, [PAYMENT, ORDERS]),
        ({"exclude_tags": ("db",)}, [ORDERS, BALANCE, PROBE]),
        ({"exclude_tags": ("network", "slow")}, [CATALOGUE, BALANCE, PROBE]),
        ({"tags": ("db",), "exclude_tags": ("network",)}, [CATALOGUE]),
        ({"tags": ("db",), "exclude_tags": ("db",)}, []),
    ],
)
def test_tags_are_alternatives_and_excluded_ones_win(
    words: dict[str, Any], expected: list[Candidate]
) -> None:
    assert chosen(**words) == expected


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("Catalogue",), [CATALOGUE, PAYMENT]),
        (("catalogue",), []),
        (("test_pay", "test_sum"), [PAYMENT, BALANCE]),
        (("shop.*.test_*r*",), [CATALOGUE, ORDERS]),
        (("*pay",), [PAYMENT]),
        (("pay*",), []),
        (("nothing_like_it",), []),
        (("[*",), []),
    ],
)
def test_patterns_are_those_of_unittest(
    patterns: tuple[str, ...], expected: list[Candidate]
) -> None:
    assert chosen(patterns=patterns) == expected


def test_patterns_that_come_from_the_network_are_not_kept_for_ever() -> None:
    def kept_after(numbers: range) -> int:
        for number in numbers:
            assert chosen(patterns=(f"{number}*",)) == []
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = kept_after(range(600))
        assert kept_after(range(600, 1200)) - first < 100_000
    finally:
        tracemalloc.stop()


def test_a_test_must_match_every_group_of_words() -> None:
    assert chosen(labels=("shop",), tags=("db",), patterns=("pay", "sum")) == [PAYMENT]


@pytest.mark.parametrize(
    "words",
    [
        {"labels": ("shop",)},
        {"labels": ("shop.smoke",)},
        {"labels": ("shop.smoke.stock",)},
        {"labels": ("shop.smoke.stock.Stock",)},
        {"labels": ("shop.smoke.stock.Stock.test_count",)},
        {"tags": ("db",)},
        {"tags": ("a_tag_of_the_broken_module",)},
        {"exclude_tags": ("a_tag_of_the_broken_module",)},
        {"patterns": ("Balance",)},
        {"labels": ("shop",), "tags": ("network",), "patterns": ("nothing",)},
    ],
)
def test_what_could_not_be_loaded_is_part_of_what_could_mean_it(words: dict[str, Any]) -> None:
    assert BROKEN_MODULE in chosen([*ALL, BROKEN_MODULE], **words)


@pytest.mark.parametrize("label", ["bank", "shop.smoke.orders", "shop.smoke.Catalogue.test_pay"])
def test_what_could_not_be_loaded_is_no_part_of_what_cannot_mean_it(label: str) -> None:
    assert BROKEN_MODULE not in chosen([*ALL, BROKEN_MODULE], labels=(label,))


def test_a_method_of_a_class_that_cannot_be_built_selects_the_class() -> None:
    labels = ("bank.smoke.Loans.test_one",)
    assert chosen([*ALL, BROKEN_CLASS], labels=labels) == [BROKEN_CLASS]


@pytest.mark.parametrize(
    ("label", "nearest"),
    [
        ("shop/smoke/orders.py", "shop.smoke.orders"),
        ("shop/smoke/", "shop.smoke"),
        ("shpo", "shop"),
        ("shop.smok", "shop.smoke"),
        ("shop.smoke.Catalog", "shop.smoke.Catalogue"),
        ("shop.smoke.Catalogue.test_raed", "shop.smoke.Catalogue.test_read"),
        ("Orders", "shop.smoke.orders.Orders"),
        ("orders.Orders", "shop.smoke.orders.Orders"),
        ("company.emty", "company.empty"),
    ],
)
def test_an_unknown_label_is_refused_with_the_nearest_known_one(label: str, nearest: str) -> None:
    with pytest.raises(InvalidSelection) as refusal:
        chosen(labels=("bank", label))
    message = str(refusal.value)
    assert message.startswith(f"Unknown label {label!r}: ")
    assert f"Did you mean {nearest!r}?" in message
    assert "Known labels: bank, shop." in message


@pytest.mark.parametrize("label", ["", ".", "shop.", ".shop", "shop.smoke.Catal", "*", "Shop"])
def test_a_label_that_is_only_like_a_known_one_is_refused(label: str) -> None:
    with pytest.raises(InvalidSelection):
        chosen(labels=(label,))


@pytest.mark.parametrize("group", ["tags", "exclude_tags"])
def test_an_unknown_tag_is_refused_with_the_nearest_known_one(group: str) -> None:
    words: dict[str, Any] = {group: ("db", "netwrok")}
    with pytest.raises(InvalidSelection) as refusal:
        chosen(**words)
    assert str(refusal.value) == (
        "Unknown tag 'netwrok': no smoke test has that tag. Did you mean 'network'?"
        " Known tags: db, network, slow, system."
    )


def test_what_the_public_may_read_of_a_refusal_has_no_name_in_it() -> None:
    with pytest.raises(InvalidSelection) as refusal:
        chosen(tags=("netwrok",))
    assert "netwr" not in refusal.value.public
    assert "network" not in refusal.value.public


def test_a_hostile_word_is_repeated_in_part_and_escaped() -> None:
    with pytest.raises(InvalidSelection) as refusal:
        chosen(labels=("\ud800\x1b\n" + "x" * 100_000,))
    message = str(refusal.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 500


def test_a_refusal_lists_a_limited_number_of_known_words() -> None:
    many = [candidate(f"app{n:02}.smoke.T.test_it", f"app{n:02}") for n in range(50)]
    with pytest.raises(InvalidSelection, match="app19 and 30 more"):
        chosen(many, labels=("nothing",))


def test_equal_selections_are_one_key() -> None:
    assert {Selection(labels=("a",)): 1}[Selection(labels=("a",))] == 1
    assert Selection(labels=("a",)) != Selection(tags=("a",))
