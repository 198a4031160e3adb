"""A monitor that asks for ever: no thread, no file descriptor, no session is left by it."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Outside
from tests.projects import Project, Served
from tests.test_hangs import sessions, settled

POLLS = 200


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.smoke("""
        from smoketest import SmokeTest
        from tests.testapp.models import Item

        class T(SmokeTest):
            def test_nothing(self): pass
            def test_read(self): Item.objects.count()
            def test_write(self): Item.objects.create(name="one")
            def test_other(self): Item.objects.using("other").create(name="two")
            def test_fails(self): self.fail("no")
            async def test_async(self): await Item.objects.acount()
    """)
    return project


def held_by(served: Served) -> Counter[str]:
    """Count threads and file descriptors of the worker."""
    (worker,) = served.workers()
    process = Path(f"/proc/{worker}")
    return Counter(
        threads=len(list((process / "task").iterdir())),
        descriptors=len(list((process / "fd").iterdir())),
    )


@pytest.mark.slow
@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_polls_leave_threads_descriptors_and_sessions_where_they_were(
    server: str, vendor: str, project: Project, outside: Outside
) -> None:
    with project.served_by(server) as served:
        with ThreadPoolExecutor(16) as callers:  # the server's own pool of threads fills up
            list(callers.map(served.get, ["/smoketest/"] * 64))
        before, connected = held_by(served), sessions(vendor, outside)
        bodies = {served.get("/smoketest/")[0] for _ in range(POLLS)}
        assert bodies == {500}
        assert settled(lambda: held_by(served) <= before), (before, held_by(served))
        assert settled(lambda: sessions(vendor, outside) <= connected)
    assert outside("SELECT * FROM testapp_item") == []
