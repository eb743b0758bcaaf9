"""What is done in the background: the tasks, the application of Celery that they belong to, and an adapter of the port ``Jobs`` to it.

By default the broker is memory of this process, and a worker in a thread does the tasks (``worker.py``); with a Redis, workers are
processes of their own. Nothing else is different.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery, Task

from .errors import UnreachableError
from .ports import Audience, Publisher
from .posts import Posts
from .settings import IN_PROCESS

ATTEMPTS = 5
SECONDS_TO_RETRY = 1.0
"""Before the first further attempt; doubled each time, unless it was said how long to wait."""

SECONDS_OF_INTEREST = 60
"""In the views: they are asked for again and again, so that those who come late to it need not."""

SEND, VIEWS = "posts.send", "posts.refresh_views"


def make_celery(broker_url: str) -> Celery:
    """The application of Celery, without tasks.

    Args:
        broker_url: Of the broker.
    """
    app = Celery("channelbot", broker=broker_url)
    app.conf.update(
        task_ignore_result=True,
        task_default_queue="posts",
        task_routes={VIEWS: {"queue": "views"}},
        task_create_missing_queues=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"polling_interval": 0.05} if broker_url == IN_PROCESS else {},
    )
    return app


QUEUES = ("posts", "views")


def add_tasks(app: Celery, posts: Callable[[], Posts], publisher: Callable[[], Publisher], audience: Callable[[], Audience]) -> Celery:
    """Give an application its tasks.

    Args:
        app: The application.
        posts: Gives what the tasks work on, in the process that they run in.
        publisher: Likewise, who publishes.
        audience: Likewise, who knows the views.

    Returns:
        The application.
    """

    @app.task(name=SEND, bind=True, shared=False, max_retries=ATTEMPTS - 1)
    def send(self: Task, post_id: int) -> str | None:
        attempt = self.request.retries
        try:
            return posts().send(post_id, publisher(), is_last_attempt=attempt + 1 >= ATTEMPTS)
        except UnreachableError as reason:
            raise self.retry(exc=reason, countdown=reason.retry_after or SECONDS_TO_RETRY * 2**attempt) from reason

    @app.task(name=VIEWS, shared=False)
    def refresh_views() -> int:
        return posts().refresh_views(audience())

    return app


class CeleryJobs:
    """Puts jobs into the queue.

    Args:
        app: The application, with its tasks.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, post_id: int) -> None:
        """See ``ports.Jobs``."""
        self._put(SEND, post_id)

    def refresh_views(self) -> None:
        """See ``ports.Jobs``."""
        self._put(VIEWS, expires=SECONDS_OF_INTEREST)

    def _put(self, task: str, *arguments: Any, **options: Any) -> None:
        self._app.tasks[task].apply_async(arguments, retry=False, **options)
