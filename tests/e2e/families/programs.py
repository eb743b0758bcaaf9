"""A program that shares its work among processes, in the way that its argument names; prints what they said as JSON.

Each way: a thousand hits in four processes; then every one of them, and the program itself, says what it shows.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from measurand import REGISTRY, generate_latest
from tests.e2e.families.counting import hit

HITS, READINGS, PROCESSES = 1000, 100, 4


def work(_: int) -> str:
    return hit()


def read(_: int) -> tuple[str, float | None]:
    generate_latest()
    return str(os.getpid()), REGISTRY.get_sample_value("hits_total", {"path": "/hit"})


def pool(method: str) -> None:
    with multiprocessing.get_context(method).Pool(PROCESSES) as processes:
        workers = {*processes.map(work, range(HITS), chunksize=5)}
        report(workers, processes.map(read, range(READINGS), chunksize=1))
        processes.close()
        processes.join()


def executor(method: str) -> None:
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context(method)) as processes:
        workers = {*processes.map(work, range(HITS), chunksize=5)}
        report(workers, [*processes.map(read, range(READINGS), chunksize=1)])


def children(start: Callable[[], Callable[[str], str]]) -> None:
    """Processes that are told line by line what to do."""
    tell = [start() for _ in range(PROCESSES)]
    workers = {one("work") for one in tell}
    readings = [(str(pid), value) for one in tell for pid, value in [json.loads(one("read"))]]
    report(workers, readings)
    for one in tell:
        one("end")


def answers(command: str) -> str:
    if command == "work":
        return {hit() for _ in range(HITS // PROCESSES)}.pop()
    return json.dumps(read(0))


def forked() -> Callable[[str], str]:
    asked, ask = os.pipe()
    answered, answer = os.pipe()
    if os.fork() == 0:
        os.close(ask)
        while (command := os.read(asked, 100).decode()) != "end":
            os.write(answer, answers(command).encode())
        os.write(answer, b"end")
        sys.exit()

    def tell(command: str) -> str:
        os.write(ask, command.encode())
        said = os.read(answered, 1000).decode()
        if command == "end":
            os.wait()
        return said

    return tell


def executed() -> Callable[[str], str]:
    child = subprocess.Popen([sys.executable, "-m", __spec__.name, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    asking, answering = child.stdin, child.stdout

    def tell(command: str) -> str:
        print(command, file=asking, flush=True)
        if command == "end":
            child.communicate()
        return "" if command == "end" else answering.readline().strip()

    return tell


def serve() -> None:
    for line in sys.stdin:
        if line.strip() == "end":
            return
        print(answers(line.strip()), flush=True)


def report(workers: set[str], readings: list[tuple[str, float | None]]) -> None:
    readings = [*readings, read(0)]  # that of this process, too
    shown = {value for _, value in readings}
    maps = Path("/proc/self/maps").read_text() if os.path.exists("/proc/self/maps") else ""
    places = {os.path.dirname(line.split()[5]) for line in maps.splitlines() if "/lane-" in line}
    print(json.dumps({"workers": len(workers), "readers": len({pid for pid, _ in readings}), "shown": [*shown], "places": [*places]}))


WAYS: dict[str, Callable[[], None]] = {
    **{f"pool, {method}": partial(pool, method) for method in ("fork", "forkserver", "spawn")},
    **{f"executor, {method}": partial(executor, method) for method in ("fork", "forkserver", "spawn")},
    "fork": partial(children, forked),
    "subprocess": partial(children, executed),
    "serve": serve,
}

if __name__ == "__main__":
    WAYS[sys.argv[1]]()
