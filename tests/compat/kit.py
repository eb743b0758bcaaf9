"""Programs in fresh interpreters: what they import and install is no other test's business."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import Any


def run(program: str, **environment: str) -> str:
    """Run a program to its end and return what it printed; a program that fails is a failure, with its own words."""
    done = attempt(program, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def attempt(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False)


def answer(program: str) -> Any:
    """What the program printed last, as JSON."""
    return json.loads(run(program).splitlines()[-1])
