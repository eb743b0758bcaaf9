"""A private RabbitMQ: one node with its own data, its own cookie and its own port mapper, all on free loopback ports."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Self

from tests.servers.process import CACHE, Missing, Process, environment_of, free_port, require, until

__all__ = ["RabbitMQ", "binary"]

SCRIPT = Path("usr", "lib", "rabbitmq", "bin", "rabbitmq-server")


@cache
def binary() -> Path | Missing:
    """Where the start script is: installed, or in .cache."""
    places = (Path("/", SCRIPT), CACHE / "rabbitmq" / SCRIPT)
    return next((place for place in places if place.exists()), Missing("rabbitmq-server", "make servers"))


class RabbitMQ:
    """A running RabbitMQ, on a free loopback port.

    Args:
        program: From :func:`binary`.
        folder: An empty folder for its data and logs.
    """

    def __init__(self, program: Path | Missing, folder: Path) -> None:
        script = Path(require(program))
        self.port, names, distribution = free_port(), free_port(), free_port()
        self.ports = {self.port, names, distribution}
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._pid_file = folder / "pid"
        erlang = script.parents[2] / "erlang"
        environment = {
            **environment_of(script),
            "PATH": os.pathsep.join([str(_erl(erlang, folder)), os.environ.get("PATH", os.defpath)]),
            "HOME": str(folder),  # the cookie is there
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(names),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODENAME": f"measurand-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_PID_FILE": str(self._pid_file),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        with ExitStack() as undo:
            (folder / "epmd").mkdir()
            mapper = Process([str(erlang / "bin" / "epmd"), "-port", str(names), "-address", "127.0.0.1"], folder / "epmd", env=environment)
            undo.callback(mapper.stop)
            until(lambda: _answers(names), lambda: f"epmd does not listen: {mapper.log}")
            self.process = Process([str(script)], folder, env=environment)
            undo.callback(self._stop_the_node)
            self.process.said("Server startup complete", 120)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the node, then its port mapper."""
        self._undo.close()

    def _stop_the_node(self) -> None:
        with suppress(OSError, ValueError):  # the script starts the node as its child, and ends when that does
            os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
        self.process.stop()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def _erl(erlang: Path, folder: Path) -> Path:
    """A folder with an ``erl`` that finds the rest where it was unpacked: the packaged one has the path that it is installed at."""
    runtime = next(erlang.glob("erts-*"))
    script = folder / "bin" / "erl"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexport ROOTDIR={erlang} BINDIR={runtime}/bin EMU=beam PROGNAME=erl\nexec "$BINDIR/erlexec" "$@"\n')
    script.chmod(0o755)
    return script.parent
