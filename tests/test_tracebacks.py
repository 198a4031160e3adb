"""A traceback is cut to the frames that its reader can do something about."""

from __future__ import annotations

import json as library
import traceback
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from smoketest import tracebacks
from smoketest.tracebacks import own_frames, short


def raised() -> str:
    """Return a traceback with a frame of this file, and frames of others after and between."""
    try:
        try:
            import_string("json.no_such_name")
        except ImportError:
            library.loads("{")
    except ValueError:
        return traceback.format_exc()
    raise AssertionError


def test_frames_of_others_are_counted_and_those_of_the_project_kept() -> None:
    shown = own_frames(raised())
    assert shown.count('  File "') == shown.count(f'  File "{__file__}"') == 2
    assert "… 2 frames …" in shown
    assert "json.decoder.JSONDecodeError" in shown
    assert "The above exception" in shown or "During handling" in shown


def test_where_all_frames_are_of_others_they_are_kept() -> None:
    frame = f'  File "{library.__file__}", line 1, in x\n    y\n'
    foreign = f"Traceback (most recent call last):\n{frame}ValueError\n"
    assert own_frames(foreign) == foreign


FRAME = '  File "/srv/site/shop/smoke.py", line 3, in test_it\n    self.assertEqual(1, 2)\n'
OTHER = FRAME.replace("3", "5")
HEADER = "Traceback (most recent call last):\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("AssertionError: 1 != 2", "1 != 2"),
        ("AssertionError: Lists differ\n\n- [1]\n+ [2]", "Lists differ\n\n- [1]\n+ [2]"),
        ("AssertionError", "assert 1 == 2"),
        ("AssertionError: None", "self.fail()"),
        ("shop.errors.Closed: at night", "shop.errors.Closed: at night"),
        ("OSError: no\na note", "OSError: no\na note\nWhat to do about it."),
    ],
)
def test_what_the_message_says_is_not_said_again(words: str, message: str) -> None:
    assert short(f"{HEADER}{FRAME}{words}\n", message) == FRAME


def test_what_the_message_does_not_say_is_kept() -> None:
    chain = "KeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:"
    text = f"{HEADER}{FRAME}{chain}\n\n{HEADER}{OTHER}ValueError: y\n"
    assert short(text, "ValueError: y") == f"{HEADER}{FRAME}{chain}\n\n{HEADER}{OTHER}"
    assert short(f"{HEADER}{FRAME}ValueError: y\n", "z") == f"{HEADER}{FRAME}ValueError: y\n"


CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
OURS = f'  File "{Path(tracebacks.__file__)}", line 1, in x\n    self.fail("y")\n'
DRIVER = '  File "/srv/site/.venv/lib/python3.13/site-packages/driver.py", line 1, in x\n'


def test_a_cause_that_says_the_same_from_foreign_code_is_left_out() -> None:
    """As when a database is down: the driver's exception is told by Django's."""
    text = f"{HEADER}{DRIVER}driver.Error: gone\n{CAUSE}{HEADER}{FRAME}{DRIVER}django.Error: gone\n"
    assert short(text, "django.Error: gone") == f"{FRAME}  … 1 frame …\n"
    assert "driver.Error: far" in short(text.replace("gone", "far", 1), "django.Error: gone")


def test_of_an_exception_of_ours_its_cause_is_shown() -> None:
    """As of a smoke module that cannot be imported."""
    ours = "smoketest.exceptions.CannotLoad: cannot: OSError: no"
    text = f"{HEADER}{FRAME}OSError: no\n{CAUSE}{HEADER}{OURS}{ours}\n"
    assert short(text, ours) == FRAME
    assert short(f"{HEADER}{OURS}{ours}\n", ours) == ""


def test_subtests_that_failed_in_the_same_line_have_one_traceback() -> None:
    parts = [f"{HEADER}{FRAME}AssertionError: {n} is not 7\n" for n in range(3)]
    message = "\n".join(f"(n={n}): {n} is not 7" for n in range(3))
    assert short("\n".join(parts), message) == FRAME
    other = f"{HEADER}{OTHER}AssertionError: 9\n"
    assert short("\n".join([*parts, other]), f"{message}\n9") == f"{HEADER}{FRAME}{HEADER}{OTHER}"


def test_of_a_stack_what_was_waited_for_is_shown() -> None:
    waits = DRIVER.replace("line 1", "line 9")
    stack = f"Stack at that moment (most recent call last):\n{FRAME}{DRIVER}{DRIVER}{waits}{OURS}"
    shown = f"Stack at that moment (most recent call last):\n{FRAME}  … 2 frames …\n{waits}"
    assert short(stack, "Timed out") == f"{shown}  … 1 frame …\n"


def test_a_stack_and_a_group_stay_as_they_are() -> None:
    stack = f"Stack at that moment (most recent call last):\n{FRAME}"
    assert short(stack, "It was not done after 1 s.") == stack
    group = "  + Exception Group Traceback (most recent call last):\n  |   File ...\n"
    assert short(group, "two") == group


def test_an_assertion_of_ours_has_nothing_to_show_and_an_error_of_ours_has() -> None:
    ours = OURS
    assert short(f"{HEADER}{ours}AssertionError: y\n", "y") == ""
    assert short(f"{HEADER}{ours}OSError: y\n", "OSError: y") == ours
    library_of_others = ours.replace(str(Path(tracebacks.__file__)), "/site-packages/shop.py")
    assert short(f"{HEADER}{library_of_others}AssertionError: y\n", "y") == library_of_others
