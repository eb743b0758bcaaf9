"""The suites of the integrations once more, on the oldest versions of frameworks and clients that are supported.

They stand in a folder of their own (``oldest.txt`` lists them), which comes first on the path of another interpreter.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.servers.process import Missing, require

known = pytest.mark.skipif(sys.version_info >= (3, 13), reason="the oldest supported versions are not made for this Python")
pytestmark = [pytest.mark.once, known]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = ROOT / ".cache" / "oldest"
LISTED = dict(re.findall(r"^([a-z]+)==([\d.]+)$", (HERE / "oldest.txt").read_text(), re.MULTILINE))
FRAMEWORKS = (
    "aiogram",
    "celery",
    "django",
    "fastapi",
    "flask",
    "httpx",
    "litestar",
    "psutil",
    "redis",
    "requests",
    "sqlalchemy",
    "starlette",
)
SUITES = {
    "asgi": ("starlette", "fastapi", "litestar"),
    "wsgi": ("flask", "django"),
    "clients": ("httpx", "requests", "redis", "redis_async", "redis_cluster", "redis_pools"),
    "databases": ("sqlalchemy", "sqlalchemy_commit", "sqlalchemy_pool", "sqlalchemy_queries"),
    "system": ("psutil", "system", "anyio"),
    "bots": ("aiogram", "aiogram_handles", "aiogram_requests", "aiogram_journal"),
    "tasks": ("celery",),
}


def installed() -> Path | Missing:
    """The folder, if everything in it is what the list says."""
    found = {path.name.lower().removesuffix(".dist-info") for path in FOLDER.glob("*.dist-info")}
    if {f"{name}-{version}" for name, version in LISTED.items()} <= found:
        return FOLDER
    return Missing(
        "a framework in its oldest supported version",
        f"{sys.executable} -m pip install --no-warn-conflicts --target .cache/oldest -r tests/integrations/oldest.txt",
    )


@pytest.mark.parametrize("kind", SUITES)
def test_the_suites_pass_on_the_oldest_versions(kind: str) -> None:
    folder = require(installed())
    suites = sorted(str(path) for name in SUITES[kind] for path in HERE.glob(f"test_{name}.py"))
    assert suites
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHONWARN"))}
    environment["PYTHONPATH"] = folder
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *suites],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_these_versions_are_what_is_in_use_there() -> None:
    folder = require(installed())
    code = "from importlib.metadata import version; print(*(version(name) for name in " + repr(FRAMEWORKS) + "))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == [LISTED[name] for name in FRAMEWORKS]


def test_the_extras_allow_just_these_and_newer_ones() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    floors = {name: requirement.removeprefix(f"{name}>=") for name in FRAMEWORKS for requirement in extras[name]}
    assert floors == {name: re.sub(r"(\.0)+$", "", LISTED[name]) for name in FRAMEWORKS}
