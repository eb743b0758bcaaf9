"""A private Pushgateway."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Self
from urllib.request import ProxyHandler, build_opener

from tests.servers.process import Missing, Process, require

__all__ = ["Pushgateway", "binary"]

CACHE = Path(__file__).parents[2] / ".cache"
_direct = build_opener(ProxyHandler({}))  # loopback is never reached through a proxy


@cache
def binary() -> Path | Missing:
    """Where the program is: on the path, or in .cache."""
    places = [found for found in (shutil.which("prometheus-pushgateway"),) if found]
    places.append(str(CACHE / "pushgateway" / "usr" / "bin" / "prometheus-pushgateway"))
    return next((Path(place) for place in places if Path(place).exists()), Missing("prometheus-pushgateway", "make servers"))


class Pushgateway:
    """A running Pushgateway, on a free loopback port.

    Args:
        program: From :func:`binary`.
        folder: An empty folder for its log.
    """

    def __init__(self, program: Path | Missing, folder: Path) -> None:
        path = require(program)
        self.process = Process([path, "--web.listen-address=127.0.0.1:0", "--persistence.file="], folder)
        try:
            self.address = self.process.said(r'(?i)listening on.* address=(\S+)')[1]
        except BaseException:
            self.process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.stop()

    def metrics(self) -> list[str]:
        """The lines that a scraper of the gateway reads, without comments and without the gateway's own series."""
        with _direct.open(f"http://{self.address}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        return [line for line in lines if not line.startswith(("#", "go_", "process_", "pushgateway_", "push_", "promhttp_"))]
