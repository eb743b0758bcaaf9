"""Functions of a library that are replaced while something is instrumented, and who records what an object does.

An integration has one :class:`Seams`. The first target that is instrumented has the library's functions replaced, the last one that is
taken back has them put back. What a replacement does for one object depends on :meth:`Seams.metrics_of`: the object's own metric set, else
the one for everything, else none. So what is instrumented as a whole and by itself is recorded once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from measurand.errors import ConfigurationError
from measurand.lifecycle.background import renew_after_fork

__all__ = ["Guarded", "Seam", "Seams"]

LOG = logging.getLogger("measurand.integrations")


class Seam(NamedTuple):
    """A function to be replaced.

    Attributes:
        owner: The class that has it.
        name: Its name there.
        replace: Makes the replacement from the function.
    """

    owner: Any
    name: str
    replace: Callable[[Any], Any]


class Seams:
    """What an integration has replaced, and for whom. Safe from any thread and after a fork.

    Args:
        make: Lists the functions to replace; called when they are to be replaced, and may import the library.
    """

    def __init__(self, make: Callable[[], Iterable[Seam]]) -> None:
        self._make = make
        self._targets: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._has_targets = False  # asking a weak dictionary for its length takes longer than all the rest
        self._everything: Any = None
        self._replaced: list[tuple[Seam, Any, Any]] = []
        self._guard = threading.RLock()

    def renew(self) -> None:
        """In a new child process: have a lock that nobody holds."""
        self._guard = threading.RLock()

    def metrics_of(self, target: Any) -> Any:
        """The metric set that records what this object does; ``None`` if none does."""
        if self._has_targets:
            found = self._targets.get(target)
            if found is not None:
                return found
        return self._everything

    def metrics_where(self, belongs: Callable[[Any], bool]) -> Any:
        """The metric set of the first object that something belongs to; else the one for everything; ``None`` if there is none.

        Args:
            belongs: Says whether it belongs to an object that is recorded.
        """
        if self._has_targets:
            for target, metrics in list(self._targets.items()):
                if belongs(target):
                    return metrics
        return self._everything

    def record(self, target: Any, metrics: Any) -> None:
        """Record what an object does from now on.

        Args:
            target: The object; ``None`` for everything.
            metrics: Where to.

        Raises:
            ConfigurationError: The library has no such functions.
        """
        renew_after_fork(self)
        with self._guard:
            if not self._replaced:
                self._replace()
            if target is None:
                self._everything = metrics
            else:
                self._targets[target] = metrics
                self._has_targets = True

    def drop(self, target: Any, metrics: Any = None) -> None:
        """Record no more what an object does.

        Args:
            target: The object; ``None`` for everything.
            metrics: Where it has been recorded, if it is to stay recorded where somebody else has it recorded by now.
        """
        with self._guard:
            now = self._everything if target is None else self._targets.get(target)
            if metrics is None or now is metrics:
                if target is None:
                    self._everything = None
                else:
                    self._targets.pop(target, None)
            self._has_targets = len(self._targets) > 0
            if self._everything is None and not self._targets:
                self._put_back()

    def _replace(self) -> None:
        seams = list(self._make())
        for seam in seams:  # all are there, or nothing is touched
            if seam.name not in vars(seam.owner):
                raise ConfigurationError(
                    f"{seam.owner.__module__}.{seam.owner.__qualname__} has no {seam.name} of its own in the version that is installed, "
                    "and this version of measurand knows no other place to measure it"
                )
        originals = [vars(seam.owner)[seam.name] for seam in seams]
        for seam, original in zip(seams, originals, strict=True):
            ours = seam.replace(original)
            setattr(seam.owner, seam.name, ours)
            self._replaced.append((seam, original, ours))

    def _put_back(self) -> None:
        if any(vars(seam.owner).get(seam.name) is not ours for seam, _, ours in self._replaced):
            return  # somebody has replaced them since, and calls ours, which from now on only pass on
        while self._replaced:
            seam, original, _ = self._replaced.pop()
            setattr(seam.owner, seam.name, original)


class Guarded:
    """Calls our own code from within a call of the host: what it raises is logged the first time, and the host's call goes on.

    Args:
        about: What fails then, for the log.
    """

    def __init__(self, about: str) -> None:
        self._about = about
        self._said = False

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns; ``None`` if it raises."""
        try:
            return function(*arguments)
        except Exception:
            if not self._said:
                self._said = True
                LOG.warning("%s: could not be recorded; said once", self._about, exc_info=True)
            return None
