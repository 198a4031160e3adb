"""The reference of the ready-made probes, written from their classes."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from smoketest import probes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sphinx.application import Sphinx

PROBES = [getattr(probes, name) for name in probes.__all__ if name != "Probe"]


def overview() -> str:
    """Return one table of all probes, as MyST."""
    rows = [
        (
            f"[`{cls.__name__}`](#{cls.__name__.lower()})",
            ", ".join(checks(cls)),
            "yes" if vars(cls).get("abstract") else "no",
            f"`{cls._extra}`" if cls._extra else "",
            cls._leaves,
        )
        for cls in PROBES
    ]
    return table(
        ("probe", "tests, for each subject", "must be configured", "extra", "leaves behind"), rows
    )


def entry(cls: type[probes.Probe]) -> str:
    """Return the section of one probe, as MyST."""
    text = markdown(inspect.cleandoc(cls.__doc__ or ""))
    rows = list(attributes(cls))
    listed = table(("attribute", "type", "unit", "default", "meaning"), rows) if rows else ""
    return f"## {cls.__name__}\n\n{text}\n\n{listed}\n"


def checks(cls: type) -> list[str]:
    """Return what its tests are called, as ``test_cache_…``."""
    names = sorted(name for name in vars(cls) if name.startswith("check_"))
    return [f"`{name.replace('check', 'test')}_…`" for name in names]


def attributes(cls: type) -> Iterator[Sequence[str]]:
    """Yield name, type, unit, default and meaning of each attribute of its own."""
    for name, (annotation, meaning) in written(cls).items():
        kind, unit = split(cls, name, annotation)
        default = f"`{vars(cls)[name]!r}`" if name in vars(cls) else "must be set"
        yield f"`{name}`", f"`{kind}`", unit, default, markdown(meaning)


def split(cls: type, name: str, annotation: str) -> tuple[str, str]:
    """Return the type as it is written, and its unit."""
    module = inspect.getmodule(next(check for check in vars(cls).values() if callable(check)))
    hint = eval(annotation, vars(module))
    if get_origin(hint) is Annotated:
        return annotation[len("Annotated[") : annotation.rindex(",")], get_args(hint)[1]
    return annotation, ""


def written(cls: type) -> dict[str, tuple[str, str]]:
    """Return the annotation and the docstring of each public attribute, from the source."""
    body = SOURCES[cls.__name__].body
    found = {}
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            doc = following.value.value if isinstance(following, ast.Expr) else ""
            if not statement.target.id.startswith("_"):
                found[statement.target.id] = (
                    ast.unparse(statement.annotation),
                    " ".join(doc.split()),
                )
    return found


def class_definitions() -> dict[str, ast.ClassDef]:
    """Return the syntax tree of every probe."""
    return {
        node.name: node
        for path in sorted(Path(probes.__file__).parent.glob("[a-z]*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }


SOURCES: Any = class_definitions()


def markdown(text: str) -> str:
    """Return the reStructuredText of a docstring as Markdown."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


class Probes(SphinxDirective):
    """The table of all probes, and a section for each."""

    def run(self) -> list[nodes.Node]:
        """Return what the text parses to."""
        text = "\n".join([overview(), "", *map(entry, PROBES)])
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("smoketest-probes", Probes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
