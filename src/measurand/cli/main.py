"""The verbs, and what they say."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from measurand import clock
from measurand.cli import family, run
from measurand.cli.pages import Answer, Place, Unreachable, ask
from measurand.config import variable

__all__ = ["main"]

OK, FAILING, UNREACHABLE = 0, 1, 3
BETWEEN = 0.2
"""Seconds between two questions while waiting."""

PROBES = {"ready": "/v1/ready", "live": "/v1/health", "started": "/v1/startup"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        The exit status.
    """
    about = "Run a program so that it is measured; ask a running service, or tell it to leave."
    parser = argparse.ArgumentParser(prog="measurand", description=about)
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _verb(verbs, "ready", _ready, "say whether a service wants traffic")
    waiting = _verb(verbs, "wait", _wait, "wait until a service is ready, live or started")
    waiting.add_argument("--for", dest="state", choices=PROBES, default="ready", help="what to wait for (default: %(default)s)")
    waiting.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="how long at most (default: %(default)g)")
    drain = _verb(verbs, "drain", _drain, "take a process out of service, as a preStop hook does")
    drain.add_argument("--wait", action="store_true", help="return when it can be stopped without anybody noticing")
    drain.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="how long to wait at most (default: %(default)g)")
    drain.add_argument("--token", default=None, help="the service's bearer token (default: MEASURAND_TOKEN)")
    about = "show the families of worker processes of this user"
    of_families = verbs.add_parser("family", help=about, description=about.capitalize() + ".")
    family.add_arguments(of_families)
    of_families.set_defaults(run=family.run)
    about = "run a program so that it is measured, without changing it"
    of_run = verbs.add_parser("run", help=about, description=about.capitalize() + ".", usage="measurand run [options] -- COMMAND …")
    run.add_arguments(of_run)
    of_run.set_defaults(run=run.run)
    about = "list the ready-made metrics, as Markdown"
    verbs.add_parser("catalog", help=about, description=about.capitalize() + ".").set_defaults(run=_catalog)
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
    except ValueError as reason:
        parser.error(str(reason))
    except Unreachable as reason:
        _say(chosen, {"error": str(reason)}, str(reason), file=sys.stderr)
        return UNREACHABLE
    return status


def _verb(verbs: Any, name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help, description=help.capitalize() + ".")
    parser.add_argument("url", metavar="URL", help="the service, or its management server, such as http://127.0.0.1:9100")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)
    return parser


def _catalog(chosen: argparse.Namespace) -> int:
    from measurand.catalog.index import markdown  # noqa: PLC0415 - loads everything

    print(markdown(), end="")
    return OK


def _ready(chosen: argparse.Namespace) -> int:
    answer = ask(Place.of(chosen.url, PROBES["ready"]))
    _say(chosen, answer.content, _described(answer))
    return OK if answer.status == 200 else FAILING


def _wait(chosen: argparse.Namespace) -> int:
    place = Place.of(chosen.url, PROBES[chosen.state])

    def look() -> Answer | None:
        try:
            return ask(place)
        except Unreachable as reason:
            return Answer(0, str(reason))

    answer = _until(look, lambda answer: answer.status == 200, chosen.timeout)
    if answer.status == 0:
        raise Unreachable(str(answer.content))
    _say(chosen, answer.content, _described(answer))
    return OK if answer.status == 200 else FAILING


def _drain(chosen: argparse.Namespace) -> int:
    place = Place.of(chosen.url, "/v1/drain")
    token = chosen.token or variable("token")
    answer = ask(place, "POST", token, Measurand_Command="drain")
    if answer.status == 202 and chosen.wait:
        answer = _until(lambda: _progress(place, token), _is_drained, chosen.timeout)
        _say(chosen, answer.content, "drained" if _is_drained(answer) else f"not drained after {chosen.timeout:g} s: {_described(answer)}")
        return OK if _is_drained(answer) else FAILING
    _say(chosen, answer.content, _described(answer))
    return OK if answer.status == 202 else FAILING


def _progress(place: Place, token: str | None) -> Answer:
    try:
        return ask(place, "GET", token)
    except Unreachable:  # it has been drained, and has gone
        return Answer(200, {"state": "gone", "drained": True, "in_flight": 0})


def _is_drained(answer: Answer) -> bool:
    return answer.status == 200 and isinstance(answer.content, dict) and bool(answer.content.get("drained"))


def _until(look: Callable[[], Any], is_enough: Callable[[Any], bool], seconds: float) -> Any:
    """What ``look`` returned last: when it was enough, or when the time was over."""
    deadline = clock.system_monotonic() + seconds
    pause = threading.Event()
    while True:
        seen = look()
        if is_enough(seen) or clock.system_monotonic() >= deadline:
            return seen
        pause.wait(BETWEEN)


def _described(answer: Answer) -> str:
    if not isinstance(answer.content, dict):
        return f"{answer.status} {answer.content}".strip()
    failing = [name for name, check in (answer.content.get("checks") or {}).items() if not check.get("healthy")]
    about = str(answer.content.get("status") or answer.content.get("state") or answer.status)
    return about + (f": {', '.join(failing)}" if failing else "")


def _say(chosen: argparse.Namespace, content: Any, words: str, file: Any = None) -> None:
    print(json.dumps(content) if chosen.json else words, file=file or sys.stdout)
