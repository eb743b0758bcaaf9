"""Work that goes on after the request that asked for it: started here, run by the library's task runner, remembered in the database.

Promises: a task that was accepted ends as done or failed, or is waited for at shutdown; what it came to can be asked for afterwards, from
any process. How many run, how long they take and how many were left at shutdown is measured by the runner.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from .database import Database, find
from .errors import BusyError, InventoryError
from .events import Events
from .models import DONE, FAILED, RUNNING, WAITING, BackgroundTask

if TYPE_CHECKING:
    from measurand.lifecycle.tasks import TaskRunner

LOG = logging.getLogger(__name__)

Work = Callable[[], dict[str, Any]]


class Tasks:
    """The tasks of this process, and the record of everybody's."""

    def __init__(self, database: Database, runner: TaskRunner, events: Events) -> None:
        self._database = database
        self._runner = runner
        self._events = events

    def start(self, kind: str, work: Work) -> dict[str, Any]:
        """Have some work done in the background.

        Args:
            kind: What it is; one of a few, it becomes the label of the runner's metrics.
            work: Does it, and returns what it came to.

        Raises:
            BusyError: The service is about to stop.
        """
        with self._database.writing() as session:
            task = BackgroundTask(id=uuid.uuid4().hex, kind=kind, state=WAITING, outcome="null")
            session.add(task)
            session.flush()
            answer = task.as_json()
        try:
            self._runner.submit(self._run, answer["id"], work, name=kind)
        except RuntimeError as reason:
            self._record(answer["id"], FAILED, {"error": "the service was about to stop"})
            raise BusyError("the service is about to stop; ask again in a moment", retry_after=5) from reason
        return answer

    def overview(self, *, limit: int, offset: int) -> list[dict[str, Any]]:
        """All tasks, newest first."""
        query = select(BackgroundTask).order_by(BackgroundTask.asked_at.desc(), BackgroundTask.id).limit(limit).offset(offset)
        with self._database.reading() as session:
            return [task.as_json() for task in session.scalars(query)]

    def detail(self, task_id: str) -> dict[str, Any]:
        """One task and what it came to. Raises ``NotFoundError``."""
        with self._database.reading() as session:
            return find(session, BackgroundTask, task_id).as_json()

    def _run(self, task_id: str, work: Work) -> None:
        self._record(task_id, RUNNING, None)
        try:
            result = work()
        except InventoryError as reason:
            self._record(task_id, FAILED, {"error": str(reason)})
            raise  # so that the runner counts it as failed
        except Exception:
            LOG.exception("task %s failed", task_id)
            self._record(task_id, FAILED, {"error": "this went wrong on our side; the log has the details"})
            raise
        self._record(task_id, DONE, result)

    def _record(self, task_id: str, state: str, outcome: Any) -> None:
        with self._database.writing() as session:
            task = find(session, BackgroundTask, task_id, lock=True)
            task.state, task.outcome = state, json.dumps(outcome)
            seen = {"id": task_id, "kind": task.kind, "state": state}
        self._events.publish("tasks", f"task_{state}", seen)
