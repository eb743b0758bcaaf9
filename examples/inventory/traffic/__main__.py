"""``python -m examples.inventory.traffic`` works until its time is over or Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..signals import stop_on_signals
from . import Traffic, UnreachableError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns 0, or 1 when the service was not there or answered what it never should."""
    parser = argparse.ArgumentParser(prog="python -m examples.inventory.traffic", description="Do plausible work with the inventory.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the service is (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=20, help="requests a second, at most (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="chooses what is done (default: %(default)s)")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop after so long (default: Ctrl-C)")
    parser.add_argument("--requests", type=int, metavar="COUNT", help="stop after so many answers (default: Ctrl-C)")
    chosen = parser.parse_args(arguments)
    try:
        traffic = Traffic(chosen.url, rate=chosen.rate, seed=chosen.seed)
    except ValueError as reason:
        parser.error(str(reason))
    stop_on_signals()
    try:
        traffic.run(duration=chosen.duration, requests=chosen.requests)
    except UnreachableError as reason:
        print(reason, file=sys.stderr)
        return 1
    except SystemExit:
        pass  # a signal: say what was done, then leave
    counts = ", ".join(f"{count} × {status}" for status, count in sorted(traffic.answers.items()))
    print(f"{traffic.answers.total()} requests answered: {counts or 'none'}; {traffic.events_heard} events heard")
    for (status, method, path), count in sorted(traffic.unexpected.items()):
        print(f"{count} × {status} to {method} {path}, which should not be", file=sys.stderr)
    return 1 if traffic.unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
