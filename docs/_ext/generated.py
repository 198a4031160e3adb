"""Directives that write parts of the reference from the code that they describe."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.core.checks import ERROR
from django.core.management import load_command_class
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from smoketest import checks, conf, renderers
from smoketest.gate.options import create_parser

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.application import Sphinx

PARAGRAPH = "\n\n"


def setting(entry: conf.Setting[Any]) -> str:
    """Return the entry of one setting, as MyST."""
    return "\n".join(
        [
            f"````{{confval}} {entry.name}",
            f":type: {entry.kind.name}",
            f":default: `{entry.default!r}`",
            "",
            entry.description,
            "```python",
            f"{entry.name} = {entry.example}",
            "```",
            "````",
        ]
    )


def check(entry: checks.Check) -> str:
    """Return the entry of one system check, as MyST, under the anchor that its message links to."""
    anchor = entry.page.partition("#")[2]
    level = "error" if entry.level >= ERROR else "warning"
    return f"({anchor})=\n**`{entry.id}`** ({level}): {plain(entry.sentence)} *{plain(entry.hint)}*"


def plain(sentence: str) -> str:
    """Return ``sentence`` as MyST, with … for what is filled in."""
    sentence = re.sub(r"\{\w+(![rs])?(:\w+)?\}", "…", sentence.replace("{near}", ""))
    return sentence.replace("*", "\\*")


class Generated(SphinxDirective):
    """A directive whose content is MyST text that :meth:`text` returns."""

    def run(self) -> list[nodes.Node]:
        """Return what the text parses to."""
        return self.parse_text_to_nodes(self.text())

    def text(self) -> str:
        """Return MyST."""
        raise NotImplementedError


class Settings(Generated):
    """Every setting, from the table in ``smoketest.conf``."""

    def text(self) -> str:
        return PARAGRAPH.join(map(setting, conf.SETTINGS))


class ReleaseVariables(Generated):
    """The environment variables that may name a release, in the order of their rank."""

    def text(self) -> str:
        return bullets(f"`{variable}`" for variable in conf.RELEASE_VARIABLES)


class Checks(Generated):
    """Every system check, from ``smoketest.checks``."""

    def text(self) -> str:
        return PARAGRAPH.join(map(check, checks.CHECKS))


class Formats(Generated):
    """Every format, from the registry in ``smoketest.renderers``."""

    def text(self) -> str:
        head = "| format | media types | a failing run over HTTP |\n|---|---|---|"
        return "\n".join([head, *map(format_row, renderers.RENDERERS)])


def format_row(renderer: renderers.Renderer) -> str:
    """Return the row of one format, with the media types that ``Accept`` may name."""
    variants = (renderer, *getattr(renderer, "variants", ()))
    types = ", ".join(f"`{name}`" for one in variants for name in renderers.media_types(one))
    status = "200" if getattr(renderer, "always_200", False) else "`SMOKETEST_FAIL_STATUS`"
    return f"| [`{renderer.format}`](#{renderer.format}) | {types} | {status} |"


class Command(SphinxDirective):
    """What ``manage.py smoketest --help`` prints."""

    def run(self) -> list[nodes.Node]:
        """Return it as one literal block."""
        command = load_command_class("smoketest", "smoketest")
        text = command.create_parser("manage.py", "smoketest").format_help()
        return [nodes.literal_block(text, text, language="text")]


class Gate(SphinxDirective):
    """What ``python -m smoketest --help`` prints."""

    def run(self) -> list[nodes.Node]:
        """Return it as one literal block."""
        text = create_parser().format_help()
        return [nodes.literal_block(text, text, language="text")]


def bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("smoketest-settings", Settings)
    app.add_directive("smoketest-release-variables", ReleaseVariables)
    app.add_directive("smoketest-checks", Checks)
    app.add_directive("smoketest-command", Command)
    app.add_directive("smoketest-formats", Formats)
    app.add_directive("smoketest-gate", Gate)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
