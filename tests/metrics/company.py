"""A service of one process or of several, whose processes do what a test tells them.

The test speaks of four *places*. In a service of four processes each is a process of its own; in one of one process all are the same. So
one test says what a feature does, whatever the number of processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from itertools import count
from pathlib import Path
from typing import Any

PATIENCE = 90.0
"""Seconds to wait for what a process is told to do."""

DRIVER = '''
import gc, gzip, json, os, signal, sys, threading, traceback, warnings
from pathlib import Path
warnings.simplefilter("ignore", DeprecationWarning)
import measurand
from measurand import *
from measurand.encoding import openmetrics
from measurand.metrics import shared

processes, place = int(sys.argv[1]), Path(sys.argv[2])
shared.begin(place)
enable_created_metrics() if sys.argv[3] == "created" else None
Counter("the_first", "So that sharing begins")

def lines(*names, registry=REGISTRY):
    return sorted(line for line in generate_latest(registry).decode().splitlines() if line.startswith(names))

def open_lines(*names, registry=REGISTRY):
    return sorted(line for line in openmetrics.generate_latest(registry).decode().splitlines() if line.startswith(names))

def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels)

def perform(order):
    names = globals()
    names.pop("answer", None)
    try:
        exec(compile(order["code"], order["name"], "exec"), names)
        return [True, names.get("answer")]
    except BaseException:
        return [False, traceback.format_exc()]

class Worker:
    def __init__(self):
        orders, answers = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(0)
            os.close(orders[1])
            for other in workers.values():
                os.close(other.orders)  # or its end would not be seen while this process lives
            with os.fdopen(orders[0]) as source:
                for line in source:
                    os.write(answers[1], json.dumps(perform(json.loads(line))).encode() + b"\\n")
            shared.leave()
            os._exit(0)
        os.close(orders[0]), os.close(answers[1])
        os.set_inheritable(orders[1], False)
        self.orders, self.answers = orders[1], os.fdopen(answers[0])
    def __call__(self, order):
        os.write(self.orders, json.dumps(order).encode() + b"\\n")
        return json.loads(self.answers.readline() or '[false, "the process has ended"]')
    def end(self, how):
        if how == "kill":
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.orders)
        os.waitpid(self.pid, 0)
        self.answers.close()

workers = {}
def start(number):
    workers[number] = Worker()

for number in range(1, processes):
    start(number)
for order in map(json.loads, sys.stdin):
    number = order["place"] % processes
    if order["what"] in ("kill", "end"):
        workers.pop(number).end(order["what"])
        result = [True, None]
    elif order["what"] == "start":
        start(number)
        result = [True, workers[number].pid]
    else:
        result = perform(order) if number == 0 else workers[number](order)
    print(json.dumps(result), flush=True)
for worker in workers.values():
    os.kill(worker.pid, signal.SIGKILL)
    os.waitpid(worker.pid, 0)
'''


class Service:
    """See the module. To be closed.

    Args:
        processes: How many: 1 or 4.
        pure: Whether they use the Python twin.
        place: Where they meet.
        created: Whether ``_created`` series are exposed.
    """

    def __init__(self, processes: int, pure: bool, place: Path, created: bool = False) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONWARN", "MEASURAND_"))}
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MEASURAND_PURE": "1" if pure else "0"}
        command = [sys.executable, "-c", DRIVER, str(processes), str(place), "created" if created else "plain"]
        self.processes = processes
        self.place = place
        self._number = count(1)
        self._master = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        """End it; nothing of it may be left."""
        assert self._master.stdin is not None
        assert self._master.stdout is not None
        self._master.stdin.close()
        assert self._master.wait(60) == 0
        self._master.stdout.close()
        assert not self.place.exists(), sorted(self.place.rglob("*"))

    def _order(self, what: str, place: int, code: str = "", name: str = "") -> Any:
        assert self._master.stdin is not None
        assert self._master.stdout is not None
        order = {"what": what, "place": place, "code": textwrap.dedent(code), "name": name}
        self._master.stdin.write(json.dumps(order) + "\n")
        self._master.stdin.flush()
        patience = threading.Timer(PATIENCE, self._master.kill)  # what hangs fails
        patience.start()
        line = self._master.stdout.readline()
        patience.cancel()
        assert line, f"no answer from place {place}: {code}"
        good, answer = json.loads(line)
        assert good, answer
        return answer

    def at(self, place: int, code: str) -> Any:
        """Run code at a place; returns what it calls ``answer``."""
        return self._order("run", place, code, f"code {next(self._number)}")

    def ask(self, place: int, expression: str) -> Any:
        """What an expression is at a place."""
        return self.at(place, f"answer = {expression}")

    def everywhere(self, code: str) -> None:
        """Run code once in each process: what a module of the application does when it is imported."""
        name = f"code {next(self._number)}"
        for place in range(self.processes):
            self._order("run", place, code, name)

    def shows(self, expression: str) -> Any:
        """What an expression is, which has to be the same in all processes."""
        answers = [self.ask(place, expression) for place in range(self.processes)]
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def lines(self, *names: str) -> list[str]:
        """The lines of the text that begin with one of these, whichever process is asked."""
        found: list[str] = self.shows(f"lines{names!r}" if len(names) > 1 else f"lines({names[0]!r})")
        return found

    def kill(self, place: int) -> None:
        """Kill the process of a place that is not the first."""
        self._order("kill", place)

    def end(self, place: int) -> None:
        """Let the process of a place that is not the first end as it should."""
        self._order("end", place)

    def start(self, place: int) -> int:
        """Start another process in place of the one that ended; returns its id."""
        pid: int = self._order("start", place)
        return pid
