"""A private VictoriaMetrics: it takes remote write and OTLP, and says exactly what it has got."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

from tests.servers.process import CACHE, Missing, Process, require

__all__ = ["Stored", "VictoriaMetrics", "binary"]

FOREVER = "4000000000"
"""A second that is not over; without one, nothing is shown of the second that has just begun."""

_direct = build_opener(ProxyHandler({}))  # loopback is never reached through a proxy


@cache
def binary() -> Path | Missing:
    """Where the program is: in .cache, or on the path."""
    places = [*(CACHE / "victoriametrics" / "usr" / "bin").glob("victoria-metrics")]
    places += [Path(found) for found in (shutil.which("victoria-metrics"),) if found]
    return next(iter(places), Missing("victoria-metrics", "make servers"))


class Stored(NamedTuple):
    """One series as it is stored.

    Attributes:
        labels: Its labels, ``__name__`` included.
        values: Its values, the oldest first.
        timestamps: When each was true, in milliseconds since the Unix epoch.
    """

    labels: dict[str, str]
    values: list[float]
    timestamps: list[int]


class VictoriaMetrics:
    """A running server, on a free loopback port.

    Args:
        program: From :func:`binary`.
        folder: An empty folder for its data and log.
    """

    def __init__(self, program: Path | Missing, folder: Path) -> None:
        path = require(program)
        flags = ["-httpListenAddr=127.0.0.1:0", f"-storageDataPath={folder / 'data'}", "-search.latencyOffset=0s", "-retentionPeriod=100y"]
        self.process = Process([path, *flags, "-memory.allowedBytes=256MB", "-loggerFormat=default"], folder)
        try:
            self.address = self.process.said(r"started server at http://(127\.0\.0\.1:\d+)/")[1]
            self.url = f"http://{self.address}"
        except BaseException:
            self.process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.stop()

    def export(self, match: str) -> list[Stored]:
        """Every sample of the series that a selector matches, such as ``{__name__=~"shop_.*"}``."""
        self._get("/internal/force_flush")
        rows = [json.loads(line) for line in self._get("/api/v1/export", **{"match[]": match, "end": FOREVER}).splitlines()]
        return [Stored(row["metric"], [_number(value) for value in row["values"]], row["timestamps"]) for row in rows]

    def last(self, name: str, **labels: str) -> float | None:
        """The last value of the one series of this name that has these labels, among others perhaps; ``None`` if there is none."""
        selector = ",".join([f"__name__={json.dumps(name)}", *(f"{key}={json.dumps(value)}" for key, value in labels.items())])
        found = self.export(f"{{{selector}}}")
        assert len(found) <= 1, f"{selector} has {len(found)} series: {found}"
        return found[0].values[-1] if found else None

    def _get(self, path: str, **parameters: str) -> str:
        with _direct.open(f"{self.url}{path}?{urlencode(parameters)}", timeout=20) as response:
            return response.read().decode()


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
