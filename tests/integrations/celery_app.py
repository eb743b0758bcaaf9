"""A Celery application whose tasks end in every way there is, and write into a journal how, just before.

Its worker is measured as docs/celery.md says: with a management page in its main process. ``BROKER`` names the broker, ``JOURNAL`` a file,
``QUEUES`` the prefix of its queues, ``MANAGEMENT`` the port of the page, ``SETTINGS`` further settings as JSON.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from celery import Celery, Task, signals
from celery.exceptions import Ignore, Reject
from kombu import Queue

import measurand
from measurand.integrations import celery, celery_queues

PREFIX = os.environ.get("QUEUES", "t")
FIRST, SECOND = f"{PREFIX}.first", f"{PREFIX}.second"

app = Celery("measured", broker=os.environ.get("BROKER", "memory://"))
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_default_queue=FIRST,
    task_ignore_result=True,
    task_queues=(Queue(FIRST, routing_key=FIRST), Queue(SECOND, routing_key=SECOND)),
    worker_hijack_root_logger=False,
    worker_lost_wait=0.5,
    worker_proc_alive_timeout=60,  # a busy machine is no failure
)
celery.instrument()


@signals.worker_init.connect
def start(**_: object) -> None:
    if "MANAGEMENT" in os.environ:
        measurand.start("worker", management=int(os.environ["MANAGEMENT"]))
        measurand.register_for_polling("celery_queues", celery_queues.poller(app, patience=0.5), interval=3, timeout=30)


@signals.worker_ready.connect
def set_aside(**_: object) -> None:
    """Let forks be quick, the longest of the tests has 14,000: the pool collects garbage before each, and each child imports this."""
    with suppress(ImportError):
        import_module("cffi").FFI()
    gc.collect()
    gc.freeze()


def note(task: Task, state: str) -> None:
    line = f"{task.name.rpartition('.')[2]} {task.request.delivery_info['routing_key']} {state}\n"
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(journal, line.encode())
    os.close(journal)


def linger(path: str) -> None:
    """Go on until there is such a file."""
    deadline, pause = time.monotonic() + 60, threading.Event()
    while not Path(path).exists() and time.monotonic() < deadline:
        pause.wait(0.01)


@app.task(bind=True)
def work(self: Task) -> None:
    note(self, "SUCCESS")


@app.task(bind=True, max_retries=None)
def flaky(self: Task, retries: int) -> None:
    if self.request.retries < retries:
        note(self, "RETRY")
        raise self.retry(countdown=0)
    note(self, "SUCCESS")


@app.task(bind=True)
def fail(self: Task) -> None:
    note(self, "FAILURE")
    raise ValueError("on purpose")


@app.task(bind=True)
def die(self: Task) -> None:
    """Be killed, as by the kernel when memory is short."""
    note(self, "FAILURE")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def die_once(self: Task, path: str) -> None:
    """Be killed at first; the message is delivered again."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    note(self, "SUCCESS")


@app.task(bind=True, soft_time_limit=0.5)
def too_slow(self: Task) -> None:
    note(self, "FAILURE")
    linger("/nowhere")


@app.task(bind=True, time_limit=0.5)
def hang(self: Task) -> None:
    note(self, "FAILURE")
    linger("/nowhere")


@app.task(bind=True)
def ignore(self: Task) -> None:
    note(self, "IGNORED")
    raise Ignore


@app.task(bind=True)
def leave(self: Task) -> None:
    note(self, "FAILURE")
    raise SystemExit


@app.task(bind=True, acks_late=True)
def reject(self: Task) -> None:
    note(self, "REJECTED")
    raise Reject("no", requeue=False)


@app.task(bind=True)
def wait_for(self: Task, started: str, path: str) -> None:
    """Say that it runs, by a file, and go on until there is another one."""
    Path(started).touch()
    linger(path)
    note(self, "SUCCESS")
