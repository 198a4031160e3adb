"""What changes the live process is refused inside a smoke test, and only there."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import time_machine
from django.apps.registry import Apps
from django.conf import settings
from django.core.checks.registry import registry
from django.core.signals import got_request_exception
from django.db.models.options import Options
from django.test import (
    AsyncClient,
    Client,
    RequestFactory,
    SimpleTestCase,
    modify_settings,
    override_settings,
)
from django.test.signals import template_rendered
from django.test.utils import isolate_apps, override_system_checks
from freezegun import freeze_time

from smoketest.exceptions import Refused
from smoketest.refusals import current_test, refused_inside
from tests.projects import Project

TEST = "shop.smoke.OrderTest.test_total"
PRICE = "real"
PRICES = {"tea": "real"}


class Shop:
    """Something to replace."""

    name = "real"


shop = Shop()
HERE = f"{__name__}.PRICE"
LONG_AGO = "2001-02-03"
REAL_DATETIME, REAL_MONOTONIC = datetime.datetime, time.monotonic


class Case(SimpleTestCase):
    """A test case of Django's to borrow self.settings() and class fixtures from."""


def use_override_settings() -> None:
    with override_settings(DEBUG=True):
        raise AssertionError("it was not refused")


@override_settings(DEBUG=True)
def use_override_settings_as_decorator() -> None:
    raise AssertionError("it was not refused")


def use_override_settings_enable() -> None:
    override_settings(DEBUG=True).enable()


def use_self_settings() -> None:
    with Case().settings(DEBUG=True):
        raise AssertionError("it was not refused")


def use_self_modify_settings() -> None:
    with Case().modify_settings(ALLOWED_HOSTS={"append": "evil.example"}):
        raise AssertionError("it was not refused")


def use_modify_settings() -> None:
    with modify_settings(ALLOWED_HOSTS={"append": "evil.example"}):
        raise AssertionError("it was not refused")


def use_override_settings_on_a_class() -> None:
    class Decorated(SimpleTestCase):
        pass

    override_settings(DEBUG=True)(Decorated).setUpClass()


def use_override_of_installed_apps() -> None:
    override_settings(INSTALLED_APPS=[]).enable()


def use_assignment() -> None:
    settings.DEBUG = True


def use_assignment_of_a_new_setting() -> None:
    settings.NOBODY_HAS_THIS = True


def use_deletion() -> None:
    del settings.DEBUG


def use_override_system_checks() -> None:
    override_system_checks([]).enable()


def use_isolate_apps() -> None:
    isolate_apps("tests.testapp").enable()


def use_patch() -> None:
    with mock.patch(HERE, "false"):
        raise AssertionError("it was not refused")


@mock.patch(HERE, "false")
def use_patch_as_decorator() -> None:
    raise AssertionError("it was not refused")


@mock.patch(HERE, "false")
async def _coroutine() -> None:
    raise AssertionError("it was not refused")


def use_patch_on_a_coroutine() -> None:
    _coroutine().send(None)


def use_patch_start() -> None:
    mock.patch(HERE, "false").start()


def use_patch_object() -> None:
    with mock.patch.object(shop, "name", "false"):
        raise AssertionError("it was not refused")


def use_patch_object_on_settings() -> None:
    with mock.patch.object(settings, "DEBUG", True):
        raise AssertionError("it was not refused")


def use_patch_multiple() -> None:
    with mock.patch.multiple(__name__, PRICE="false", HERE="false"):
        raise AssertionError("it was not refused")


def use_patch_dict() -> None:
    with mock.patch.dict(PRICES, tea="false"):
        raise AssertionError("it was not refused")


@mock.patch.dict(PRICES, tea="false")
def use_patch_dict_as_decorator() -> None:
    raise AssertionError("it was not refused")


def use_patch_dict_start() -> None:
    mock.patch.dict(PRICES, tea="false").start()


@mock.patch(HERE, "false")
class _Decorated:
    def test_it(self) -> None:
        raise AssertionError("it was not refused")


def use_patch_on_a_class() -> None:
    _Decorated().test_it()


def use_freeze_time() -> None:
    with freeze_time(LONG_AGO):
        raise AssertionError("it was not refused")


@freeze_time(LONG_AGO)
def use_freeze_time_as_decorator() -> None:
    raise AssertionError("it was not refused")


@freeze_time(LONG_AGO)
async def _frozen_coroutine() -> None:
    raise AssertionError("it was not refused")


def use_freeze_time_on_a_coroutine() -> None:
    _frozen_coroutine().__await__().send(None)


@freeze_time(LONG_AGO)
class _Frozen:
    def test_it(self) -> None:
        raise AssertionError("it was not refused")


def use_freeze_time_on_a_class() -> None:
    _Frozen().test_it()


def use_freeze_time_start() -> None:
    freeze_time(LONG_AGO, tick=True).start()


def use_travel() -> None:
    with time_machine.travel(0):
        raise AssertionError("it was not refused")


@time_machine.travel(0)
def use_travel_as_decorator() -> None:
    raise AssertionError("it was not refused")


@time_machine.travel(0)
async def _travelling_coroutine() -> None:
    raise AssertionError("it was not refused")


def use_travel_on_a_coroutine() -> None:
    _travelling_coroutine().send(None)


def use_travel_on_a_class() -> None:
    class Travelling(SimpleTestCase):
        pass

    time_machine.travel(0)(Travelling).setUpClass()


def use_travel_start() -> None:
    time_machine.travel(0).start()


def use_travel_with_async_with() -> None:
    time_machine.travel(0).__aenter__().send(None)


class APIRequestFactory(RequestFactory):
    """As that of Django REST framework stands between its client and Django's."""

    def request(self, **kwargs: Any) -> Any:
        return super().request(**kwargs)


def use_client() -> None:
    Client().get("/nobody/has/this/")


async def _ask() -> None:
    await AsyncClient().get("/nobody/has/this/")


def use_async_client() -> None:
    _ask().send(None)


def use_derived_client() -> None:
    class APIClient(APIRequestFactory, Client):
        pass

    APIClient().post("/nobody/has/this/", {"a": 1})


USES = [use for name, use in list(globals().items()) if name.startswith("use_")]
use = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__.removeprefix("use_"))


def state() -> tuple[Any, ...]:
    """All that the uses above would change."""
    return (
        settings.DEBUG,
        list(settings.ALLOWED_HOSTS),
        hasattr(settings, "NOBODY_HAS_THIS"),
        settings._wrapped,  # type: ignore[misc]
        PRICE,
        dict(PRICES),
        shop.name,
        registry.registered_checks,
        [list(signal.receivers) for signal in (got_request_exception, template_rendered)],
        Options.default_apps,
        datetime.datetime,
        time.monotonic,
        time_machine.escape_hatch.is_travelling(),
    )


@use
def test_is_refused_inside_a_smoke_test_and_changes_nothing(use: Callable[[], None]) -> None:
    before = state()
    with refused_inside(TEST), pytest.raises(Refused):
        use()
    assert state() == before


@pytest.mark.parametrize(
    ("use", "beginning"),
    [
        (use_override_settings, "override_settings was used in "),
        (use_modify_settings, "modify_settings was used in "),
        (use_assignment, "settings.DEBUG was assigned in "),
        (use_deletion, "settings.DEBUG was deleted in "),
        (use_override_system_checks, "override_system_checks was used in "),
        (use_patch, "unittest.mock.patch of 'PRICE' was used in "),
        (use_patch_dict, "unittest.mock.patch.dict was used in "),
        (use_freeze_time, "freezegun.freeze_time was used in "),
        (use_travel, "time_machine.travel was used in "),
    ],
)
def test_the_message_says_what_where_why_and_what_to_do(
    use: Callable[[], None], beginning: str
) -> None:
    with refused_inside(TEST), pytest.raises(Refused) as caught:
        use()
    what, why, instead = str(caught.value).split(". ", 2)
    assert f"{what}. " == f"{beginning}{TEST}. "
    assert "of the live process for every request that is served meanwhile" in why
    assert "the project's own test suite" in instead


def test_the_message_names_the_client_and_what_to_use_instead() -> None:
    with refused_inside(TEST), pytest.raises(Refused) as caught:
        use_derived_client()
    beginning = f"{__name__}.use_derived_client.<locals>.APIClient, a test client made by hand"
    assert str(caught.value).startswith(f"{beginning}, was used in {TEST}. It connects signals")
    assert "Use self.client or self.async_client" in str(caught.value)


def test_a_client_asks_as_before_outside_of_a_smoke_test() -> None:
    with refused_inside(TEST):
        pass  # the hooks are in place
    assert Client().get("/nobody/has/this/").status_code == 404


def test_settings_and_mocks_work_as_before_outside_of_a_smoke_test() -> None:
    with refused_inside(TEST):
        pass  # the hooks are in place
    with (
        override_settings(DEBUG=True),
        modify_settings(ALLOWED_HOSTS={"append": "more.example"}),
        mock.patch(HERE, "false") as replaced,
        mock.patch.dict(PRICES, tea="false"),
        mock.patch.object(shop, "name") as made,
        isolate_apps("tests.testapp") as apps,
    ):
        settings.NOBODY_HAS_THIS = True
        assert settings.DEBUG
        assert settings.ALLOWED_HOSTS[-1] == "more.example"
        assert replaced == PRICES["tea"] == "false"
        assert shop.name is made
        assert isinstance(apps, Apps)
        del settings.NOBODY_HAS_THIS  # type: ignore[misc]
    assert (settings.DEBUG, PRICES, shop.name) == (False, {"tea": "real"}, "real")
    assert settings.ALLOWED_HOSTS[-1] != "more.example"


def test_a_mock_that_replaces_nothing_is_allowed_inside_a_smoke_test() -> None:
    with refused_inside(TEST):
        stand_in = mock.create_autospec(Shop, instance=True)
        stand_in.name = "false"
    assert shop.name == "real"


def test_a_block_that_began_outside_may_end_inside() -> None:
    outer, patcher = override_settings(DEBUG=True), mock.patch(HERE, "false")
    outer.enable()
    patcher.start()
    with refused_inside(TEST):
        outer.disable()
        patcher.stop()
    assert not settings.DEBUG
    assert PRICE == "real"


@pytest.mark.parametrize("clock", [freeze_time(LONG_AGO), time_machine.travel(LONG_AGO)])
def test_a_clock_that_was_changed_outside_goes_on_inside_and_may_end_there(clock: Any) -> None:
    clock.start()
    with refused_inside(TEST):
        seen = datetime.date.today()  # noqa: DTZ011 - the clock of the process is the subject
        clock.stop()
    assert str(seen) == LONG_AGO
    assert state()[-3:] == (REAL_DATETIME, REAL_MONOTONIC, False)


def test_settings_can_be_loaded_and_configured_inside_a_smoke_test() -> None:
    program = (
        "from smoketest.refusals import refused_inside\n"
        "from django.conf import settings\n"
        "with refused_inside('test'):\n"
        "    settings.configure(NAME='as given')\n"
        "print(settings.NAME)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "as given\n", done.stderr


METHODS = (
    "from unittest import mock\n"
    "from django.conf import LazySettings\n"
    "from django.test import override_settings\n"
    "def methods():\n"
    "    return LazySettings.__setattr__, override_settings.enable, mock._patch.__enter__\n"
    "before = methods()\n"
)


def run(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", METHODS + program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_importing_changes_nothing_in_django_or_the_standard_library() -> None:
    run(
        "import smoketest.refusals\n"
        "for cls in LazySettings, override_settings, mock._patch:\n"
        "    assert 'smoketest' not in repr(list(vars(cls).values()))\n"
    )


def test_no_library_is_imported_for_its_refusal() -> None:
    run(
        "import sys\n"
        "from smoketest.refusals import refused_inside\n"
        "with refused_inside('test'):\n"
        "    assert not {'freezegun', 'time_machine'} & set(sys.modules)\n"
    )


def test_outside_of_a_smoke_test_each_method_is_the_original_itself() -> None:
    run(
        "from smoketest.refusals import refused_inside\n"
        "with refused_inside('test'):\n"
        "    assert not set(methods()) & set(before)\n"
        "with refused_inside('another'):\n"
        "    pass\n"
        "assert methods() == before\n"
        "assert override_settings().enable.__func__ is before[1]\n"
    )


CLOCKS = """
    import datetime
    import time

    import time_machine

    from smoketest import SmokeTest

    REAL = datetime.datetime, time.monotonic


    @time_machine.travel(0)
    class TravellingTest(SmokeTest):
        def test_it(self):
            pass


    class ImportingTest(SmokeTest):
        def test_1_imports_its_own(self):
            from freezegun import freeze_time

            freeze_time("2001-02-03").start()

        def test_2_is_real(self):
            self.assertEqual((datetime.datetime, time.monotonic), REAL)
            self.assertGreater(datetime.date.today().year, 2001)
"""


def test_a_clock_is_refused_around_a_class_of_tests_and_where_a_test_imports_it(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path)
    project.smoke(CLOCKS)
    report = json.loads(project.command("--format", "json").stdout)
    results = {one["id"].removeprefix("shop.smoke."): one for one in report["results"]}
    assert "travel was used" in results["TravellingTest.test_it"]["message"]
    assert "freeze_time was used" in results["ImportingTest.test_1_imports_its_own"]["message"]
    assert results["ImportingTest.test_2_is_real"]["outcome"] == "passed"


def test_the_test_is_named_inside_its_block_and_only_there() -> None:
    assert current_test() is None
    with refused_inside("a.smoke.ATest"):
        with refused_inside("a.smoke.ATest.test_b"):
            assert current_test() == "a.smoke.ATest.test_b"
        assert current_test() == "a.smoke.ATest"
    assert current_test() is None


def test_the_refusal_ends_with_its_block_when_a_test_raises() -> None:
    with pytest.raises(ZeroDivisionError), refused_inside(TEST):
        raise ZeroDivisionError
    with override_settings(DEBUG=True):
        assert settings.DEBUG


def test_a_thread_that_runs_in_a_copy_of_the_context_is_refused_too() -> None:
    with refused_inside(TEST), ThreadPoolExecutor(1) as pool:
        refused = pool.submit(copy_context().run, use_override_settings)
        with pytest.raises(Refused):
            refused.result()


def test_another_thread_may_override_while_a_smoke_test_is_under_way() -> None:
    with refused_inside(TEST), ThreadPoolExecutor(1) as pool:
        assert pool.submit(_overridden_debug).result() is True
    assert not settings.DEBUG


def _overridden_debug() -> bool:
    with override_settings(DEBUG=True), mock.patch(HERE, "false"):
        return bool(settings.DEBUG and PRICE == "false")


@contextmanager
def reading(*read: Callable[[], object]) -> Iterator[list[object]]:
    """Read without pause in another thread, as live requests do; all that was ever seen."""
    seen: list[object] = []
    started, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            for look in read:
                value = _value_or_error(look)
                if value not in seen:
                    seen.append(value)
            started.set()

    thread = threading.Thread(target=watch)
    thread.start()
    assert started.wait(30)
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _value_or_error(look: Callable[[], object]) -> object:
    try:
        return look()
    except AttributeError as error:  # what engine-wide settings do to a reader in mid-swap
        return repr(error)


def test_a_live_request_sees_no_changed_setting_and_no_mock_meanwhile() -> None:
    reads = (lambda: ("DEBUG", settings.DEBUG), lambda: PRICE, lambda: PRICES["tea"])
    with reading(*reads) as seen:
        for _ in range(300):
            for use in USES:
                with refused_inside(TEST), pytest.raises(Refused):
                    use()
    assert seen == [("DEBUG", False), "real"]
