"""What Django keeps in memory of rows is the test's own inside of a test.

``ContentType.objects`` and ``Site.objects.get_current()`` read a row once in the life of
the process. A test that makes or changes such a row would have it remembered there, and
after the rollback the site would go on with an id that is nobody's, or a wrong domain.
So a test remembers by itself, beginning with nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

from django.apps import apps

from . import scope

_of_tests: WeakKeyDictionary[scope.Scope, dict[int, dict[Any, Any]]] = WeakKeyDictionary()
"""What each test remembers, by the identity of what the site remembers in its place."""


class Memory(dict[Any, Any]):
    """The site's dictionary outside of tests, and in each test one of its own."""


def _method(name: str) -> Any:
    # The site looks up a content type here with each use of a generic relation.
    of_dict, current = getattr(dict, name), scope.current

    def method(self: Memory, *args: Any) -> Any:
        if (owner := current()) is None:
            return of_dict(self, *args)
        return of_dict(_of_tests.setdefault(owner, {}).setdefault(id(self), {}), *args)

    return method


for _name in (
    "__contains__", "__delitem__", "__getitem__", "__iter__", "__len__", "__setitem__",
    "clear", "get", "items", "keys", "pop", "setdefault", "update", "values",
):  # fmt: skip
    setattr(Memory, _name, _method(_name))


def install() -> None:
    """Let Django remember rows in this way; the site goes on with what it knows already."""
    if apps.is_installed("django.contrib.contenttypes"):
        _remember_content_types(import_module("django.contrib.contenttypes.models").ContentType)
    if apps.is_installed("django.contrib.sites"):
        _remember_sites(import_module("django.contrib.sites.models"))


def _remember_content_types(model: Any) -> None:
    if isinstance(model.objects._cache, Memory):
        return
    memory = Memory(model.objects._cache)
    # Django copies a manager for each use of it; the copies share the dictionary.
    for manager in (*model._meta.local_managers, *model._meta.managers):
        if hasattr(manager, "_cache"):
            manager._cache = memory


def _remember_sites(module: Any) -> None:
    if type(module.SITE_CACHE) is dict:  # another package may have put its own there
        module.SITE_CACHE = Memory(module.SITE_CACHE)
        # Django's own would put another dictionary in its place.
        module.SiteManager.clear_cache = lambda manager: module.SITE_CACHE.clear()
