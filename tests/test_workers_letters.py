"""Where the workers' reports wait: each way alike, and what is said where it is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import Celery  # type: ignore[import-untyped]
from django.test import override_settings

from smoketest.workers import letters
from smoketest.workers.letters import Letterbox, ResultBackend, SharedCache, Unreachable

LETTER = {"report": {"passed": True, "node": "kettle ☕"}}


@pytest.fixture
def app(tmp_path: Path) -> Celery:
    """An application whose result backend is a folder, which raises where nothing is."""
    return Celery("kettle", backend=f"file://{tmp_path}", set_as_current=False)


@pytest.fixture(params=["backend", "cache"])
def box(request: pytest.FixtureRequest, app: Celery) -> Letterbox:
    return letters.named(request.param, app)


def test_letter_is_there_until_it_is_forgotten(box: Letterbox) -> None:
    assert box.collect(["one", "two"]) == {}
    box.put("one", LETTER)
    assert box.collect(["one", "two"]) == {"one": LETTER}
    box.forget(["two", "one", "three"])
    assert box.collect(["one", "two"]) == {}


def test_name_is_what_the_same_box_is_made_from(box: Letterbox, app: Celery) -> None:
    assert type(letters.named(box.name, app)) is type(box)


def test_folder_is_empty_after_it_was_forgotten(app: Celery, tmp_path: Path) -> None:
    box = ResultBackend(app)
    box.put("one", LETTER)
    assert list(tmp_path.iterdir()) != []
    box.forget(["two", "one"])
    assert list(tmp_path.iterdir()) == []


def test_what_celery_itself_has_stored_is_a_failure_with_its_name(app: Celery) -> None:
    app.backend.mark_as_failure("one", LookupError("no water"))
    assert ResultBackend(app).collect(["one"]) == {
        "one": {"failure": "LookupError", "problem": "LookupError: no water"}
    }


def test_backend_that_keeps_results_comes_before_the_cache(app: Celery) -> None:
    assert letters.choose(app).name == "backend"


@pytest.mark.parametrize("backend", [None, "rpc://"])
def test_cache_is_taken_without_a_backend_that_keeps_results(
    backend: str | None, tmp_path: Path
) -> None:
    files = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache"}
    without = Celery("kettle", broker="amqp://", backend=backend, set_as_current=False)
    with override_settings(CACHES={"default": {**files, "LOCATION": str(tmp_path)}}):
        assert letters.choose(without).name == "cache"


def test_cache_that_is_down_is_said_to_be() -> None:
    down = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:1/",
    }
    with (
        override_settings(CACHES={"default": down}),
        pytest.raises(Unreachable, match="The cache 'default', by which the workers' reports"),
    ):
        SharedCache().collect(["one"])
