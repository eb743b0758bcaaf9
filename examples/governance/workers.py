"""Several processes that serve one application on one socket: for a service in which any of them can do everything.

Promises: a signal to stop reaches every worker, a second one too; a worker that was killed is replaced, one that gives up ends the service;
workers do not outlive the process that started them. That process serves nothing, has no threads, and needs no set-up for metrics: the
workers are its forks, and that makes them one service.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from types import FrameType
from typing import Any, cast

from . import logs

LOG = logging.getLogger(__name__)

STOPPING = (signal.SIGTERM, signal.SIGINT)
SECONDS_BETWEEN_LOOKS = 0.5
"""At whether the process that started a worker is still there."""


def run(count: int, work: Callable[[], int], *, until: int | None = None, **fields: str) -> int:
    """Have so many workers work until they are told to stop. Returns the exit status.

    Args:
        count: How many.
        work: What each does, in its own process; returns when it was told to stop, or gives up with a status above 0.
        until: A file descriptor whose end says to stop, too.
        **fields: What each line of the log says besides.
    """
    team = _Team(count, work, until)
    with logs.writing_here(LOG, **fields):
        return team.run()


class _Team:
    def __init__(self, count: int, work: Callable[[], int], until: int | None) -> None:
        self._count = count
        self._work = work
        self._until = until
        self._processes = multiprocessing.get_context("fork")
        self._members: list[Any] = []
        self._told: list[int] = []  # the signals to pass on
        self._is_stopping = False

    def run(self) -> int:
        woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes)
        for number in STOPPING:
            signal.signal(number, self._note)
        status = 0
        while True:
            if given_up := self._end_of_some():
                status = status or given_up[0]
                self._told.append(signal.SIGTERM)
            while self._told:
                self._is_stopping, number = True, self._told.pop(0)
                for member in self._members:
                    os.kill(member.pid, number)
            if not self._is_stopping:
                self._members += [self._started() for _ in range(self._count - len(self._members))]
            elif not self._members:
                return status
            until = [] if self._until is None or self._is_stopping else [self._until]
            ready = wait([woken, *until, *(member.sentinel for member in self._members)])
            if woken in ready:
                os.read(woken, 100)
            if self._until in ready and not os.read(cast(int, self._until), 4096):
                self._told.append(signal.SIGTERM)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._told.append(number)

    def _end_of_some(self) -> list[int]:
        """The statuses of workers that have given up; those that have ended are members no more."""
        ended = [member for member in self._members if not member.is_alive()]
        self._members = [member for member in self._members if member not in ended]
        for member in ended:
            if member.exitcode < 0 and not self._is_stopping:
                LOG.warning("a worker was killed; another takes its place", extra={"worker": member.pid, "signal": -member.exitcode})
        return [member.exitcode for member in ended if member.exitcode > 0]

    def _started(self) -> Any:
        member = self._processes.Process(target=self._be_one, args=(os.getpid(),))
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # one that comes to the child before it can deal with it would be lost
        try:
            member.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        return member

    def _be_one(self, parent: int) -> None:
        signal.set_wakeup_fd(-1)
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
        sys.exit(self._work())


def _leave_with(parent: int) -> None:
    pause = threading.Event()
    while not pause.wait(SECONDS_BETWEEN_LOOKS):
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return
