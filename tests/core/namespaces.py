"""Running commands as containers do: in process id and mount namespaces of their own."""

from __future__ import annotations

import functools
import shutil
import subprocess

import pytest

__all__ = ["in_pid_namespace", "pid_namespace", "require_namespaces"]


@functools.cache
def _complaint() -> str:
    if shutil.which("unshare") is None:
        return "unshare is not there; run: apt-get install util-linux"
    tried = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip()


def require_namespaces() -> None:
    """Skip the test where namespaces cannot be made."""
    if _complaint():
        pytest.skip(f"namespaces cannot be made here: {_complaint()}")


def pid_namespace(*options: str) -> list[str]:
    """The beginning of a command line that runs the rest in a process id namespace of its own, as its process 1."""
    require_namespaces()
    return ["unshare", "--pid", *(options or ("--fork", "--mount-proc"))]


def in_pid_namespace(command: str, *options: str) -> str:
    """What a shell command prints, its shell replaced by it."""
    ran = subprocess.run([*pid_namespace(*options), "sh", "-c", f"exec {command}"], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
