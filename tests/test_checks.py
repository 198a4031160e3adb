"""Every system check has an id, a sentence and a hint, and finds nothing where all is well."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from django.core import checks

from smoketest.checks import CHECKS, Check
from tests.checking import found


def test_the_defaults_are_fine() -> None:
    assert found() == []


def test_every_check_has_an_id_of_its_own() -> None:
    assert [id for id, times in Counter(check.id for check in CHECKS).items() if times > 1] == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_every_check_has_an_id_of_its_level_a_sentence_and_a_hint(check: Check) -> None:
    letter = {checks.ERROR: "E", checks.WARNING: "W"}[check.level]
    assert re.fullmatch(rf"smoketest\.{letter}\d{{3}}", check.id)
    assert re.search(r"[.!}]$", check.sentence)
    assert check.hint.endswith(".")
