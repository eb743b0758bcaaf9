"""The official Prometheus client in its multiprocess mode, set up as its documentation says."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.adapters._prometheus_style import PrometheusStyle

MEMORY = "/dev/shm"


class Library(PrometheusStyle):
    title = "prometheus_client, multiprocess mode"
    distribution = "prometheus_client"
    order = 11
    groups = ("processes",)
    module = "prometheus_client"
    import_statement = "import prometheus_client"
    first_counter = "from prometheus_client import Counter; Counter('requests_total', 'Requests')"
    remarks: ClassVar = {
        "company_set": "prometheus_client: the gauge has the mode `mostrecent`, measurand's default for one that is set.",
        "workers_256": "prometheus_client's documented hook for the end of a worker, `mark_process_dead`, is called for each.",
    }

    def __init__(self) -> None:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:  # has to stand there before the import
            place = tempfile.mkdtemp(prefix="benchmark-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = place
            atexit.register(shutil.rmtree, place, ignore_errors=True)
        super().__init__()
        self.library.disable_created_metrics()

    def _gauge(self) -> Any:
        return self.library.Gauge("level", "Level", registry=self.registry, multiprocess_mode="mostrecent")

    def exposition(self) -> Callable[[], bytes]:
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415 - imported when it is measured

        registry = self.library.CollectorRegistry()
        MultiProcessCollector(registry)
        generate = self.library.generate_latest
        return lambda: bytes(generate(registry))

    def worker_ended(self, pid: int) -> None:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

        mark_process_dead(pid)

    def shared_files(self) -> list[Path]:
        return list(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).iterdir())
