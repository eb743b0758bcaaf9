"""``measurand run -- COMMAND``: start a program so that it is measured, without a line of code in it."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from measurand.config import environment_with

__all__ = ["add_arguments", "run", "service_name", "surroundings"]

SITE = Path(__file__).parent / "site"
"""The directory whose ``sitecustomize`` every interpreter runs that has it on its path."""

MANAGEMENT = "127.0.0.1:9100"
NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""Exit statuses, as shells have them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    named = "the service's name (default: MEASURAND_SERVICE, SERVICE_NAME, or what COMMAND runs)"
    parser.add_argument("--service", metavar="NAME", help=named)
    served = f"where the pages are: a port, or host:port (default: MEASURAND_MANAGEMENT, or {MANAGEMENT})"
    parser.add_argument("--management", metavar="ADDRESS", help=served)
    parser.add_argument("--without", metavar="NAME", action="append", default=[], help="leave a library alone; repeatable")
    parser.add_argument("--quiet", action="store_true", help="say nothing but what went wrong")
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="the program and its arguments, after --")


def run(chosen: argparse.Namespace) -> int:
    """Become the program.

    Returns:
        The exit status, if it could not be started.
    """
    command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
    if not command:
        raise ValueError("there is no COMMAND to run: measurand run -- uvicorn shop:app")
    if os.name != "posix":
        raise ValueError("run needs a system on which a program can take another one's place; add measurand.start() to the program instead")
    variables = surroundings(command, service=chosen.service, management=chosen.management, without=chosen.without, quiet=chosen.quiet)
    try:
        os.execvpe(command[0], command, variables)
    except OSError as reason:
        print(f"measurand: {command[0]} cannot be run: {reason.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(reason, FileNotFoundError) else NOT_EXECUTABLE


def surroundings(
    command: Sequence[str],
    *,
    service: str | None = None,
    management: str | None = None,
    without: Sequence[str] = (),
    quiet: bool = False,
    environ: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of a program that is measured.

    Args:
        command: The program and its arguments.
        service: The service's name, if told.
        management: Where the pages are served, if told.
        without: Libraries to leave alone.
        quiet: Whether nothing is said.
        environ: The environment of ours; that of the process by default.
    """
    environment = environment_with({}, environ)
    told = {"MEASURAND_RUN": json.dumps({"without": sorted({*without}), "quiet": quiet})}
    if service or not any(environment.get(name) for name in ("MEASURAND_SERVICE", "SERVICE_NAME")):
        told["MEASURAND_SERVICE"] = service or service_name(command)
    if management or not environment.get("MEASURAND_MANAGEMENT"):
        told["MEASURAND_MANAGEMENT"] = management or MANAGEMENT
    told["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SITE), environment.get("PYTHONPATH")]))
    environment.pop("MEASURAND_RUN_IN", None)
    return environment | told


def service_name(command: Sequence[str]) -> str:
    """What a program is called by what it runs: ``shop`` of ``uvicorn shop.main:app``, ``celery -A shop worker`` or ``python shop.py``."""
    for before, word in zip(["", *command], command, strict=False):
        application = re.match(r"(?:--app=)?([A-Za-z_]\w*)[\w.]*:[A-Za-z_]\w*", word)
        if application is not None:
            return application[1]
        if before in {"-A", "--app", "-m"} and not word.startswith("-") and word not in {"flask", "uvicorn", "gunicorn", "celery"}:
            return Path(word).stem.partition(".")[0] or "unknown_service"
        if word.endswith(".py") and Path(word).stem != "manage":
            return Path(word).stem
    return Path(command[0]).name
