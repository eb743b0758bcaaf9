"""What every ``instrument()`` has in common: a handle that undoes it, once for each target, and the library's version checked before."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from importlib import import_module, metadata
from typing import Any, Self
from weakref import WeakKeyDictionary, ref

from measurand.errors import MissingExtra
from measurand.lifecycle.background import renew_after_fork

__all__ = ["Handle", "Installations", "library"]

LOG = logging.getLogger("measurand.integrations")


class Handle:
    """What has been instrumented. Also a context manager that takes it back at the end of the block. Safe from any thread.

    Args:
        about: What it is, in a few words: ``"redis 8.1.0, every client"``.
        metrics: The metric set that is recorded to.
        target: What was instrumented; not kept alive by this.
        undo: Takes it back; called with the target, if it is still there.
    """

    def __init__(self, about: str, metrics: Any, target: Any, undo: Callable[[Any], None]) -> None:
        self.about = about
        self.metrics = metrics
        self._target = ref(target)
        self._undo: list[Callable[[Any], None]] = [undo]
        self._forget: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"<Handle: {self.about}{'' if self.is_active else ', taken back'}>"

    @property
    def is_active(self) -> bool:
        """Whether it has not been taken back."""
        return bool(self._undo)

    def uninstrument(self) -> None:
        """Take it back: from now on nothing is recorded. What has been recorded stays. Does nothing when called again."""
        try:
            undo = self._undo.pop()
        except IndexError:
            return
        self._forget()
        target = self._target()
        if target is not None:
            undo(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.uninstrument()


class Installations:
    """What an integration has instrumented, each target once. A module has one of these. Safe from any thread and after a fork."""

    def __init__(self) -> None:
        self._handles: WeakKeyDictionary[Any, Handle] = WeakKeyDictionary()
        self._guard = threading.RLock()

    def renew(self) -> None:
        """In a new child process: have a lock that nobody holds."""
        self._guard = threading.RLock()

    def once(self, target: Any, metrics: Any, make: Callable[[], Handle]) -> Handle:
        """The target's handle: that which it has, or a new one.

        Args:
            target: What is instrumented; something that can be referred to weakly, such as a class, a module or an object.
            metrics: The metric set that is asked for, or ``None`` if any will do; one that differs from that of the handle which exists is
                warned of.
            make: Instruments the target.
        """
        renew_after_fork(self)
        with self._guard:
            handle = self._handles.get(target)
            if handle is not None:
                if metrics is not None and metrics is not handle.metrics:
                    LOG.warning("%s: instrumented already, with another metric set, which stays; uninstrument() it first", handle.about)
                return handle
            handle = self._handles[target] = make()
            handles, kept = self._handles, ref(target)
            handle._forget = lambda: _remove(handles, kept)
            return handle

    def of(self, target: Any) -> Handle | None:
        """The target's handle, if it is instrumented."""
        return self._handles.get(target)


def _remove(handles: WeakKeyDictionary[Any, Handle], kept: ref[Any]) -> None:
    target = kept()
    if target is not None:
        handles.pop(target, None)


def library(module: str, *, extra: str, floor: str, package: str | None = None) -> Any:
    """Import an optional library.

    Args:
        module: The module to import.
        extra: The extra of ``measurand`` that installs it.
        floor: The oldest version that will do, such as ``"5.2"``.
        package: The distribution, if it is called otherwise than the module.

    Returns:
        The module.

    Raises:
        MissingExtra: It is not installed, or too old.
    """
    package = package or module.partition(".")[0]
    try:
        found = import_module(module)
    except ModuleNotFoundError as reason:
        if reason.name is None or reason.name.partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, and lacks something itself
        raise MissingExtra(package, extra) from None
    version = version_of(package)
    if version and _numbers(version) < _numbers(floor):
        raise MissingExtra(package, extra, found=version, floor=floor)
    return found


def version_of(package: str) -> str:
    """The version of a distribution that is installed; an empty string if that is not known."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: ``(5, 2)`` of 5.2rc1. A pre-release counts as the release."""
    begin = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in begin[0].split(".")) if begin else ()
