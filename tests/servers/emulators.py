"""What PyPI has of servers: an OpenTelemetry collector that prints what it gets, and an emulator of CloudWatch."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.request import ProxyHandler, Request, build_opener

from tests.servers.process import Missing, Process, free_port, require, until

__all__ = ["CloudWatchEmulator", "Rotel"]

_direct = build_opener(ProxyHandler({}))  # loopback is never reached through a proxy
_CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "eu-west-1"}


def _installed(module: str, program: str = "") -> Path | Missing:
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return Missing(module, f"pip install {module}")
    found = Path(spec.submodule_search_locations[0]) / program
    if program and subprocess.run([found, "--version"], capture_output=True, check=False).returncode:
        return Missing(f"a {module} that runs with this Python", f"pip install {module}, on a Python with a shared library")
    return found


def _is_there(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Rotel:
    """A running collector that takes OTLP over HTTP on a free loopback port, and logs every field.

    Args:
        folder: An empty folder for its log.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        receiver = ["--otlp-http-endpoint", f"127.0.0.1:{self.port}", "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}"]
        shown = ["--exporter", "blackhole", "--debug-log", "metrics", "--debug-log-verbosity", "detailed"]
        self.process = Process([require(_installed("rotel", "rotel-agent")), "start", *receiver, *shown], folder)
        try:
            until(lambda: _is_there(self.port), lambda: f"it does not listen: {self.process.log[-2000:]}")
        except BaseException:
            self.process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.stop()

    @property
    def log(self) -> str:
        """What it has said, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.process.log)


class CloudWatchEmulator:
    """A running moto, on a free loopback port.

    Args:
        folder: An empty folder for its log.
    """

    def __init__(self, folder: Path) -> None:
        require(_installed("moto"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process([sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)], folder)
        try:
            until(lambda: _is_there(self.port), lambda: f"it does not listen: {self.process.log[-2000:]}")
        except BaseException:
            self.process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.stop()

    def client(self, url: str | None = None, **settings: Any) -> Any:
        """A client of boto3 for it, or for what stands before it."""
        import boto3  # noqa: PLC0415 - only who asks for it needs it

        return boto3.session.Session().client("cloudwatch", endpoint_url=url or self.url, **_CREDENTIALS, **settings)

    def reset(self) -> None:
        """Forget everything."""
        _direct.open(Request(f"{self.url}/moto-api/reset", method="POST"), timeout=20).close()
