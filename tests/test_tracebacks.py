"""A traceback is cut to the frames that its reader can do something about."""

from __future__ import annotations

import json as library
import traceback

from django.utils.module_loading import import_string

from smoketest.tracebacks import own_frames


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
