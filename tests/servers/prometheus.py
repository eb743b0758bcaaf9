"""A private Prometheus: told what to scrape while it runs, asked in PromQL."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from tests.servers.process import Missing, Process, require, until

__all__ = ["Prometheus", "Sample", "Target", "binary"]

CACHE = Path(__file__).parents[2] / ".cache"
FIRST_SCRAPE = 60.0
"""Seconds to wait for a new target's first scrape; Prometheus looks for new targets every 5 s."""

_direct = build_opener(ProxyHandler({}))  # loopback is never reached through a proxy


@cache
def binary(program: str, version: str) -> Path | Missing:
    """Where a program of Prometheus ``version`` ("2.42", "3.5") is; the major version has to be right.

    Looked for in ``MEASURAND_PROMETHEUS_2`` and ``_3`` (the path of ``prometheus``; promtool is its neighbour), in .cache, on the path.
    """
    major = version.split(".", maxsplit=1)[0]
    places = [CACHE / f"prometheus-{major}" / "usr" / "bin" / program]
    if named := os.environ.get(f"MEASURAND_PROMETHEUS_{major}"):
        places = [Path(named).with_name(program)]
    elif found := shutil.which(program):
        places.append(Path(found))
    for place in places:
        if place.exists():
            says = subprocess.run([place, "--version"], capture_output=True, text=True, check=True)
            if f"version {major}." in says.stdout + says.stderr:
                return place
    return Missing(f"{program} {version}", "make servers")


class Sample(NamedTuple):
    """One series of an answer."""

    labels: dict[str, str]
    value: float
    """NaN where the answer is a native histogram."""
    histogram: dict[str, Any] | None


class Target(NamedTuple):
    """How the scraping of one target goes."""

    job: str
    health: str
    """"up", "down" or "unknown" (not scraped yet)."""
    error: str
    """Why the last scrape failed; empty if it did not."""
    url: str


class Prometheus:
    """A running server, on a free loopback port, with a scrape interval of one second.

    Args:
        program: From :func:`binary`.
        folder: An empty folder for its data, configuration and log.
        jobs: Scrape configurations, as in the section ``scrape_configs``.
        config: A whole configuration instead, as text.
        flags: More of its command line.
    """

    def __init__(
        self,
        program: Path | Missing,
        folder: Path,
        *,
        jobs: Sequence[Mapping[str, Any]] = (),
        config: str | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        path = require(program)
        self._config_file = folder / "prometheus.yml"
        self._jobs = [dict(job) for job in jobs]
        self._numbers = count(1)
        self._write(config)
        self.process = Process(
            [
                path,
                f"--config.file={self._config_file}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--web.enable-lifecycle",
                "--scrape.discovery-reload-interval=100ms",
                *flags,
            ],
            folder,
        )
        try:
            self.url = "http://" + self.process.said(r'msg="Listening on".* address=(\S+)')[1]
            self.process.said("Server is ready to receive web requests")
        except BaseException:
            self.process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.stop()

    # -- what it scrapes -----------------------------------------------------------------------------------------------------

    @contextmanager
    def scraping(self, url: str, *, job: str | None = None, **settings: Any) -> Iterator[Target]:
        """Scrape ``url`` while the block runs.

        Args:
            url: What to scrape, path and query included.
            job: The job's name; the default is one that nobody else has.
            settings: More of the job's scrape configuration, for example ``scrape_protocols=["PrometheusText0.0.4"]``.

        Yields:
            The target after its first scrape, whether that succeeded or failed.
        """
        parts = urlsplit(url)
        name = job or f"job-{next(self._numbers)}"
        job_config = {
            "job_name": name,
            "scheme": parts.scheme,
            "static_configs": [{"targets": [parts.netloc]}],
            "metrics_path": parts.path or "/",
            "params": parse_qs(parts.query),
        }
        self._jobs.append(job_config | settings)
        self._write()
        try:
            self.reload()
            yield until(lambda: self._scraped(name), lambda: f"{url} was not scraped; targets: {self.targets()}", FIRST_SCRAPE)
        finally:
            self._jobs = [each for each in self._jobs if each["job_name"] != name]
            self._write()
            self.reload()

    def _scraped(self, job: str) -> Target | None:
        return next((target for target in self.targets() if target.job == job and target.health != "unknown"), None)

    def targets(self) -> list[Target]:
        """What is being scraped at the moment, and how it goes."""
        active = self.api("targets", state="active")["activeTargets"]
        return [Target(target["scrapePool"], target["health"], target["lastError"], target["scrapeUrl"]) for target in active]

    def _write(self, config: str | None = None) -> None:
        jobs = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": self._jobs}
        self._config_file.write_text(config if config is not None else json.dumps(jobs))  # JSON is YAML

    def reload(self) -> None:
        """Make the server read its configuration again; a configuration that it refuses is an ``HTTPError``."""
        self._open(Request(f"{self.url}/-/reload", method="POST"))

    # -- what it knows -------------------------------------------------------------------------------------------------------

    def query(self, promql: str) -> list[Sample]:
        """The answer to an instant query, now."""
        data = self.api("query", query=promql)
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]), None)]
        return [
            Sample(row["metric"], float(row.get("value", (0, "NaN"))[1]), row.get("histogram", (0, None))[1])
            for row in data["result"]
        ]

    def value(self, promql: str) -> float:
        """The value of a query whose answer is a single series; any other answer is an ``AssertionError``."""
        samples = self.query(promql)
        assert len(samples) == 1, f"{promql} has {len(samples)} series: {samples}"
        return samples[0].value

    def wait_for(self, promql: str, predicate: Callable[[list[Sample]], Any] = bool, timeout: float = 60.0) -> list[Sample]:
        """Ask until ``predicate`` accepts the answer (by default: until it has a series), and return the answer."""
        answer: list[Sample] = []

        def accepted() -> bool:
            answer[:] = self.query(promql)
            return bool(predicate(answer))

        until(accepted, lambda: f"{promql} is still {answer}", timeout)
        return answer

    def api(self, path: str, **parameters: str) -> Any:
        """The ``data`` of any answer of ``/api/v1/``, for example ``api("metadata", metric="orders_total")``."""
        return json.loads(self._open(Request(f"{self.url}/api/v1/{path}?{urlencode(parameters)}")))["data"]

    @property
    def version(self) -> str:
        """The server's own word on its version."""
        return re.split(r"[+-]", self.api("status/buildinfo")["version"])[0]

    def _open(self, request: Request) -> bytes:
        with _direct.open(request, timeout=10) as response:
            return bytes(response.read())
