"""A Celery application; its broker is named by the environment, as workers are processes."""

from __future__ import annotations

import os
import time

from celery import Celery  # type: ignore[import-untyped]

url = os.environ.get("SMOKETEST_TEST_BROKER", "redis://127.0.0.1:1/")
app = Celery("kettle", broker=url, backend=url)
app.conf.broker_connection_retry_on_startup = True
app.conf.broker_transport_options = {"socket_connect_timeout": 1}


@app.task(name="ping")  # type: ignore[untyped-decorator]
def ping() -> str:
    return "pong"


@app.task(name="broken")  # type: ignore[untyped-decorator]
def broken() -> None:
    raise LookupError("no water")


@app.task(name="busy")  # type: ignore[untyped-decorator]
def busy(seconds: float) -> None:
    time.sleep(seconds)
