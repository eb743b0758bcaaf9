"""StatsD's own server, which tells on its administration port what it has added up."""

from __future__ import annotations

import json
import re
import shutil
import socket
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

from tests.servers.process import CACHE, Missing, Process, free_port, require, until

__all__ = ["StatsdServer", "binary"]

NEVER = 10**9
"""Milliseconds between two flushes: the server adds up, and forgets nothing."""


@cache
def binary() -> Path | Missing:
    """Where the program is: in .cache; it runs on Node.js."""
    found = CACHE / "statsd" / "node_modules" / "statsd" / "stats.js"
    return found if found.exists() and shutil.which("node") else Missing("statsd", "make servers")


class StatsdServer:
    """A running server, on free loopback ports for UDP and TCP.

    Args:
        program: From :func:`binary`.
        folder: An empty folder for its configuration and log.
    """

    def __init__(self, program: Path | Missing, folder: Path) -> None:
        path = Path(require(program))
        self.udp, self.tcp, self._admin = free_port(), free_port(), free_port()
        servers = [
            {"server": "./servers/udp", "address": "127.0.0.1", "port": self.udp},
            {"server": "./servers/tcp", "address": "127.0.0.1", "port": self.tcp},
        ]
        settings = {"servers": servers, "mgmt_address": "127.0.0.1", "mgmt_port": self._admin, "flushInterval": NEVER, "backends": []}
        self._config = folder / "config.js"
        self._config.write_text(json.dumps(settings))
        self._program = path
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, on the same ports as before; it has added up nothing then."""
        node = shutil.which("node") or "node"
        self.process = Process([node, str(self._program), str(self._config)], self._config.parent, env={"PATH": str(Path(node).parent)})
        try:
            self.process.said("server is up")
            for port in (self.tcp, self._admin):  # which it says before it listens there
                until(partial(_listens, port), lambda: f"it does not listen: {self.process.log[-2000:]}")
        except BaseException:
            self.process.stop()
            raise

    def stop(self) -> None:
        """Stop it."""
        self.process.stop()

    def counters(self) -> dict[str, float]:
        """What its counters have come to."""
        return self._asked("counters")

    def gauges(self) -> dict[str, float]:
        """The values of its gauges."""
        return self._asked("gauges")

    def forget(self) -> None:
        """Delete its counters and gauges."""
        for what, names in (("delcounters", self.counters()), ("delgauges", self.gauges())):
            if names:
                self._said(f"{what} {' '.join(names)}")

    def bad_lines(self) -> float:
        """How many lines it could not read."""
        return self.counters().get("statsd.bad_lines_seen", 0.0)

    def _asked(self, what: str) -> dict[str, float]:
        return _parsed(self._said(what))

    def _said(self, what: str) -> str:
        with socket.create_connection(("127.0.0.1", self._admin), timeout=10) as connection:
            connection.sendall(f"{what}\n".encode())
            said = b""
            while not said.endswith(b"END\n\n"):
                part = connection.recv(65536)
                assert part, f"the server closed the connection after {said!r}"
                said += part
        return said.decode().removesuffix("END\n\n")


_PAIR = re.compile(r"""(?:([A-Za-z_$][\w$]*)|'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"):\s*(-?[\d.e+-]+)""")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except OSError:
        return False
    return True


def _parsed(text: str) -> dict[str, Any]:
    """What Node.js shows of an object of numbers: with quotes only where a name needs them."""
    return {name or single or double: float(value) for name, single, double, value in _PAIR.findall(text)}
