"""A Celery application whose metrics page is served by the worker's main process."""

from __future__ import annotations

import os

from celery import Celery

from measurand import start_http_server
from tests.e2e.families.counting import hit

app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"},
    task_ignore_result=True,
    worker_hijack_root_logger=False,
)
app.task(name="hit")(hit)

if "PORT" in os.environ:
    start_http_server(int(os.environ["PORT"]))
