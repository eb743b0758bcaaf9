"""One figure of one library, in a process made for it: ``python -m benchmarks.worker LIBRARY BENCHMARK [--quick]`` prints JSON."""

from __future__ import annotations

import json
import sys

from benchmarks.adapters import libraries
from benchmarks.suite import measured


def main(library: str, benchmark: str, *options: str) -> None:
    """Measure, and print the figures as the last line."""
    figures = measured(benchmark, libraries()[library], "--quick" in options)
    sys.stdout.write(f"\n{json.dumps(figures)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
