"""Where this process' metrics meet those of the other processes of its service.

The first metric that is registered begins it: from then on a fork finds the family together (see ``sharing``), and a process that is itself
a forked or spawned child joins at once.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from measurand import core
from measurand.core import ancestry
from measurand.metrics import identities
from measurand.metrics.definition import definition_of, is_plain
from measurand.metrics.untold import tell_of_forks

if TYPE_CHECKING:
    from pathlib import Path

    from measurand.metrics.combining import Mirrors
    from measurand.metrics.instrument import MetricBase
    from measurand.metrics.noting import Chosen, How
    from measurand.metrics.registry import CollectorRegistry
    from measurand.metrics.sharing import Sharing
    from measurand.metrics.snapshot import Family

__all__ = [
    "begin",
    "combine",
    "combined",
    "company",
    "current",
    "enrol",
    "follow",
    "is_on",
    "lead",
    "leave",
    "meeting_place",
    "note",
    "noting",
    "pids",
    "publish",
    "publishing",
    "registries",
    "removing",
    "removing_here",
    "rows_everywhere",
    "stepping_back",
    "take_part",
    "trouble",
    "withdraw",
]

_current: dict[str, Sharing] = {}  # this process' part, once it needs one
_family: dict[str, str] = {}  # its name, once it has begun
_directory: list[Path] = []  # where it meets, if not in the usual place
_registries: WeakSet[CollectorRegistry] = WeakSet()
_publishing: list[Callable[[], None]] = []
_mirrors: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # by registry
_trouble: list[str] = []  # why there was no sharing at the last fork
_outside: list[bool] = []  # whether this process was forked like that

Report = Callable[[str, str], None]


def current() -> Sharing | None:
    """This process' part in its family; ``None`` while nothing needed one."""
    return _current.get("it")


def enrol(registry: CollectorRegistry, collector: Any) -> None:
    """A metric was registered: let other processes see it, now or once there are any."""
    if definition_of(collector) is None or not is_plain(collector) or not registry.identity:
        return
    _registries.add(registry)
    if not _family:
        begin()
    sharing = current()
    if sharing is not None:
        sharing.enrol(registry, collector)


def registries() -> list[CollectorRegistry]:
    """Those that have metrics which other processes see, or would."""
    while True:
        try:
            return sorted(_registries, key=lambda registry: registry.identity)
        except RuntimeError:  # another thread has added one meanwhile
            continue


def withdraw(collector: Any) -> None:
    """A metric was unregistered."""
    sharing = current()
    if sharing is not None and definition_of(collector) is not None:
        sharing.withdraw(collector)


def removing(metric: MetricBase, chosen: Chosen, how: How = "remove") -> Any:
    """A context in which series of the metric are removed or exchanged.

    Args:
        metric: The metric.
        chosen: Gives the test of which ones; asked once they are removed here. What other processes recorded in them goes as well.
        how: What is done to them.
    """
    sharing = company()
    return nullcontext() if sharing is None else _removing(sharing, metric, chosen, how)


@contextmanager
def _removing(sharing: Sharing, metric: MetricBase, chosen: Chosen, how: How) -> Iterator[None]:
    root: Any = core.root(metric)  # type: ignore[arg-type]
    if root is not metric and how != "reset":
        yield
        return
    with sharing.removing(root, chosen, how):
        yield


def removing_here(metric: MetricBase) -> Any:
    """A context in which series of the metric are removed in this process only; what the others recorded in them is shown as before."""
    sharing = current()
    return nullcontext() if sharing is None else sharing.removing(metric)


def note(series: Any) -> None:
    """An info was given new facts."""
    sharing = current()
    if sharing is not None:
        sharing.note(series, series)


def _begin(chosen: bool) -> bool:
    """Be ready for company; false where there can be none."""
    if os.name != "posix":
        return False
    if not _family:
        name = ancestry.CHOSEN if chosen else ancestry.family()
        if _family.setdefault("it", name) is name:
            os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
            atexit.register(leave)
            ancestry.expect_children(name)
            if tell_of_forks(_after_fork_in_child):  # and not before it, so one has to be ready
                _meet().join()
    return True


def _meet() -> Sharing:
    """This process' part, from now on."""
    # What a process that is alone does not need. All of it now: a forked child that imports a module which another thread was importing
    # at the fork waits for that thread.
    from measurand.metrics import combining, snapshot  # noqa: F401, PLC0415
    from measurand.metrics.sharing import Sharing  # noqa: PLC0415

    mine = Sharing(_family["it"], _directory[0] if _directory else None, _registries)
    sharing = _current.setdefault("it", mine)
    if sharing is mine:
        ancestry.at_end_of_child(sharing, leave)
        if _outside:
            sharing.stay_out()
    return sharing


def company() -> Sharing | None:
    """This process' part, if others are or were there; joins those that met without it."""
    sharing = current()
    if sharing is not None and (sharing.in_company or sharing.reason):
        return sharing if sharing.join() else None
    if not _family or not ancestry.has_met(_family["it"], str(_directory[0]) if _directory else None):
        return None
    sharing = sharing or _meet()
    return sharing if sharing.join() else None


def begin(directory: Path | None = None) -> None:
    """Let other processes of the service see what this one records, and see what they do; now or once there are any.

    The first metric that is registered does this. Again, it does nothing but note the directory.

    Args:
        directory: Where the processes meet, instead of what the environment says or the usual place; see ``core.ancestry``.

    Raises:
        RuntimeError: They have met already, elsewhere.
    """
    sharing = current()
    if sharing is not None and directory is not None and sharing.directory != directory and sharing.in_company:
        raise RuntimeError("the processes of this service have met already: name the directory before anything forks")
    chosen = ancestry.chosen_directory() if directory is None and not _directory else None
    if chosen is not None:
        from pathlib import Path  # noqa: PLC0415 - dear, and not needed by a process that is alone

        directory = Path(chosen)
    if directory is not None:
        _directory[:] = [directory]
        if sharing is not None:
            sharing.directory = directory
    if sharing is None and _begin(chosen is not None) and (chosen is not None or not ancestry.is_first(_family["it"])):
        _meet().join()


def lead(task: str = "") -> bool:
    """Whether this process is the one of its service that does what only one shall do. To be asked before each turn.

    True in a process that is alone, or where sharing has not begun. When the leader ends, however it ends, the next that asks leads.

    Args:
        task: What is to be done, by a name that is equal in all processes; different tasks may have different leaders.
    """
    return not _family or (company() or current() or _meet()).lead(task)


def follow(task: str = "") -> None:
    """Lead no longer in a task, until :func:`lead` is called again."""
    sharing = current()
    if sharing is not None:
        sharing.follow(task)


def take_part(task: str) -> None:
    """Be one of whom the last does something at the end; see :func:`stepping_back`. A forked child is none because its parent is."""
    if _family:
        (company() or current() or _meet()).take_part(task)


def is_on(task: str) -> bool:
    """Whether any process of the service takes part in a task; costs one call of the system, and waits for nothing."""
    sharing = current()
    return sharing is not None and sharing.is_on(task)


def stepping_back(task: str) -> AbstractContextManager[bool]:
    """A context in which one takes part no longer; yields whether this process is the last one, and has to do in it what is to be done.

    True in a process that is alone. Of several that come at the same moment at least one is told so, and no two at a time.
    """
    sharing = current()
    return nullcontext(True) if sharing is None else sharing.stepping_back(task)


def meeting_place() -> Path | None:
    """The directory in which the processes of the service meet, for small files that go with the last of them; ``None`` when alone."""
    sharing = current()
    return None if sharing is None else sharing.meeting_place


def pids() -> list[int]:
    """The process ids of the service's living processes, this one's first, as far as they can be known here."""
    sharing = company()
    return [os.getpid()] if sharing is None else sharing.pids()


def noting(task: str, patience: float) -> AbstractContextManager[bool]:
    """A context in which no other process is in the same task.

    Yields false if others were in it for so many seconds, or there are none.
    """
    sharing = current()
    return nullcontext(False) if sharing is None else sharing.noting(task, patience)


def publish() -> None:
    """Let the other processes see what this one's gauge callbacks say now. For a background thread, every few seconds."""
    sharing = current()
    if sharing is not None:
        for function in list(_publishing):
            with suppress(Exception):
                function()
        sharing.publish()


def publishing(function: Callable[[], None]) -> None:
    """Have :func:`publish` call a function as well, for numbers that are not kept as they come up."""
    _publishing.append(function)


def leave() -> None:
    """End this process' part; what it counted stays with its family. For the end of the process."""
    ancestry.expect_no_children()
    with suppress(ImportError, OSError):  # there is no place at all, or what is needed only now cannot be loaded
        if (sharing := current() or company()) is not None:  # children that met without this process have left it to tidy up
            sharing.leave()


def _before_fork() -> None:
    try:
        sharing = current() or _meet()
    except (ImportError, OSError) as reason:  # what is needed now could not even be loaded
        if not _trouble:
            logging.getLogger("measurand").warning("no metrics are shared with forked processes (%s). Said once.", reason)
        _trouble[:] = [f"{type(reason).__name__}: {reason}"]
        return
    _trouble.clear()
    sharing.before_fork()


def _after_fork_in_parent() -> None:
    sharing = current()
    if sharing is not None:
        sharing.after_fork_in_parent()


def _after_fork_in_child() -> None:
    _mirrors.clear()
    identities.begin_anew()
    sharing = current()
    if sharing is None:  # it has its parent's numbers besides its own, which are not to be counted twice
        _outside[:] = [True]
        return
    _outside.clear()
    sharing.after_fork_in_child()
    ancestry.at_end_of_child(sharing, leave)


def trouble() -> str:
    """Why processes that this one was forked from, or has forked, do not share their numbers with it; an empty string if they do."""
    return _trouble[0] if _trouble else ""


# -- snapshots ---------------------------------------------------------------------------------------------------------------


def combine(registry: CollectorRegistry, ours: dict[int, Any], slots: list[list[Family]], report: Report, claimed: object = None) -> bool:
    """Put what other processes recorded into a snapshot.

    Args:
        registry: The registry.
        ours: Its instruments, by the slot of their families.
        slots: The snapshot; metrics that only others know are added at its end.
        report: Told of what is left out: whose, and why.
        claimed: What ``claims`` was before the snapshot.

    Returns:
        Whether it has what they recorded; it has none of it for now if not all of that could be read.
    """
    sharing = company()
    if sharing is None:
        return True
    with sharing.others() as others:
        if sharing.claims != claimed:  # what was an earlier process' in the lane is this one's now, and not in the snapshot
            for slot, collector in ours.items():
                if collector.definition.type in {"counter", "histogram", "summary"}:
                    slots[slot] = registry.families(collector)
        if others or sharing.removed:
            from measurand.metrics.everywhere import Combination  # noqa: PLC0415 - needs instruments, which need this module

            Combination(sharing, registry, _mirrors_of(registry), report).of_all(ours, slots, others)
        return others.is_whole


def _mirrors_of(registry: CollectorRegistry) -> Mirrors:
    from measurand.metrics.combining import Mirrors  # noqa: PLC0415 - as above

    mirrors: Mirrors = _mirrors.setdefault(registry, Mirrors())
    return mirrors


def rows_everywhere(metric: MetricBase) -> list[tuple[tuple[str, ...], tuple[float, ...]]] | None:
    """What all processes recorded on a metric: the label values and the numbers of each series; ``None`` where this process is alone."""
    sharing = company()
    if sharing is None:
        return None
    from measurand.metrics.everywhere import rows_of  # noqa: PLC0415 - as above

    with sharing.others() as others:
        return rows_of(sharing, metric, others)


def combined(registry: CollectorRegistry, collectors: list[Any], call: bool = True) -> Iterator[list[Family]]:
    """The families of these collectors with what other processes recorded; what a collector raises passes through.

    Args:
        registry: The registry.
        collectors: Those of its collectors that are asked.
        call: Whether gauges' callbacks are called; else their series are left as they are.
    """
    from measurand.metrics.snapshot import CellFamily  # noqa: PLC0415 - as below

    sharing = company()
    if sharing is None:
        yield from (registry.families(collector) for collector in collectors)
        return
    claimed = sharing.claims
    slots = [registry.families(collector) for collector in collectors]
    ours = {slot: collector for slot, collector in enumerate(collectors) if is_plain(collector) and definition_of(collector) is not None}
    for slot, families in enumerate(slots):
        for family_ in families:
            if isinstance(family_, CellFamily) and call:
                family_.resolve()
            elif isinstance(family_, CellFamily) and family_.frozen.payloads():
                ours.pop(slot, None)
    combine(registry, ours, slots, lambda name, reason: None, claimed)
    yield from slots
