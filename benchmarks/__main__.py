"""The command line: see :mod:`benchmarks`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

from benchmarks import machine
from benchmarks.adapters import Adapter, libraries
from benchmarks.page import refreshed
from benchmarks.report import render
from benchmarks.results import Figures, Results
from benchmarks.suite import SUITE

HERE = Path(__file__).parent
TIMEOUT = 600.0


def main() -> None:
    """Run what was asked for, and write or print the report."""
    everything = libraries()
    groups = sorted({benchmark.group for benchmark in SUITE.values()})
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="measurand beside its peers, in one run")
    parser.add_argument("--quick", action="store_true", help="a rough run in under a minute; prints instead of writing")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        choices=[*everything, *SUITE, *groups],
        help=f"a library ({', '.join(everything)}), a group ({', '.join(groups)}) or a benchmark ({', '.join(SUITE)}); repeatable; prints",
    )
    parser.add_argument("--output", type=Path, help="where to write the report (default: RESULTS.md beside this file, for a full run)")
    parser.add_argument(
        "--raw", type=Path, help="where to keep every single figure, as JSON; benchmarks that stand there are not run again"
    )
    parser.add_argument("--render", action="store_true", help="measure nothing: make the report from what --raw kept")
    parser.add_argument(
        "--refresh", action="store_true", help="put the tables that were measured into the report that is there, and leave its others"
    )
    options = parser.parse_args()

    results = Results(machine={**machine.facts(), "mode": "quick" if options.quick else "full"})
    if options.raw and options.raw.exists():
        results = Results(**json.loads(options.raw.read_text()))
    if not options.render:
        chosen = {name: library for name, library in everything.items() if name in options.only or not set(options.only) & set(everything)}
        wanted = [name for name in options.only if name not in everything]
        benchmarks = [name for name, benchmark in SUITE.items() if not wanted or name in wanted or benchmark.group in wanted]
        measure(results, chosen, benchmarks, options.raw)
    report = render(results)
    output = options.output or (None if (options.quick or options.only) and not options.refresh else HERE / "RESULTS.md")
    if options.refresh:
        output.write_text(refreshed(output.read_text(), results))
    elif output:
        output.write_text(report)
    else:
        sys.stdout.write(report)


def measure(results: Results, chosen: dict[str, type[Adapter]], benchmarks: list[str], raw: Path | None) -> None:
    """Run the benchmarks that ``results`` lacks, in rounds over the libraries, keeping the figures after each."""
    quick = results.machine["mode"] == "quick"
    results.sittings += 1
    present = {}
    for name, library in chosen.items():
        installed = machine.version_of(library)
        if installed is None:
            say(f"{library.distribution} is not installed: left out")
            continue
        present[name] = library
        results.versions[name], results.titles[name], results.remarks[name] = installed, library.title, dict(library.remarks)
    for name in benchmarks:
        rounds = SUITE[name].quick_rounds if quick else SUITE[name].rounds
        if name in results.rounds or not rounds:
            continue
        begun = perf_counter()
        for _ in range(rounds):
            results.work.append(machine.fixed_work())
            for key, library in present.items():
                if SUITE[name].group not in library.groups:
                    continue
                results.add(name, key, one(key, library, name, quick))
        results.loads.append(machine.load())
        results.seconds += perf_counter() - begun
        say(f"{name}: {rounds} rounds in {perf_counter() - begun:.0f} s, load average {results.loads[-1]:.1f}")
        if raw:
            raw.write_text(json.dumps(asdict(results), indent=1))


def one(key: str, library: type[Adapter], benchmark: str, quick: bool) -> Figures | None:
    """One round of one benchmark of one library, in a process of its own; an empty dictionary if it fails."""
    command = [sys.executable, "-m", "benchmarks.worker", key, benchmark, *(["--quick"] if quick else [])]
    try:
        done = subprocess.run(
            command,
            cwd=HERE.parent,
            env={**os.environ, **library.environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        say(f"{benchmark} of {key} took more than {TIMEOUT:.0f} s")
        return {}
    if done.returncode:
        say(f"{benchmark} of {key} failed:\n{done.stderr}")
        return {}
    figures: Figures | None = json.loads(done.stdout.splitlines()[-1])
    return figures


def say(message: str) -> None:
    """Tell whoever waits how far it is."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
