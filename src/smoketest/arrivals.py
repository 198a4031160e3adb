"""Tells when a module has been imported, be it long since or never.

Nobody has to ask again and again, and no module is imported for it: the machinery of
``import`` says so, at the cost of a dictionary look-up for each module that is imported
for the first time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Arrived = Callable[[ModuleType], None]
"""Called with a module that has just been imported."""

_awaited: dict[str, Arrived] = {}


def when_imported(name: str, arrived: Arrived) -> None:
    """Call ``arrived`` with the module ``name`` as soon as it is imported, now if it is.

    It is called before whoever imports the module gets it, again where the module is
    imported anew, and now and then twice, where that happens at this moment. What it
    raises is raised by the import. For each name there is one: the last.
    """
    _awaited[name] = arrived
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    if sys.modules.get(name) is not None:
        arrived(import_module(name))  # which waits where another thread is still at it


class _Finder(MetaPathFinder):
    """Finds what the others find, with a loader that tells."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        arrived = _awaited.get(fullname)
        if arrived is None:
            return None
        spec = self._ask_the_others(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, arrived)
        return spec

    def _ask_the_others(self, *what: Any) -> ModuleSpec | None:
        others = (finder for finder in list(sys.meta_path) if finder is not self)
        return next(filter(None, (finder.find_spec(*what) for finder in others)), None)


_finder = _Finder()


class _Loader(Loader):
    """Loads as another does, which the module has for its loader in the end, and tells."""

    def __init__(self, loader: Loader, arrived: Arrived) -> None:
        self._loader = loader
        self._arrived = arrived

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._arrived(sys.modules.get(module.__name__, module))

    def __getattr__(self, name: str) -> Any:
        # Whoever asks for the spec alone may want more of a loader, such as the source.
        return getattr(self._loader, name)
