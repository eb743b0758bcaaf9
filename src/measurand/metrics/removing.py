"""Removal of series in all processes of the service: one step, whatever it is that goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from measurand import core
from measurand.core import support
from measurand.metrics import shared

__all__ = ["Removing", "Replacing", "Resetting"]


class Removing:
    """What drops series of an instrument; stands before the core's class."""

    if not TYPE_CHECKING:

        def remove(self, *labelvalues: object) -> None:  # noqa: D102 - as below
            with shared.removing(self, lambda: support.by_position(core.spec(self), labelvalues)):
                super().remove(*labelvalues)

        def remove_by_labels(self, labels: Mapping[str, object]) -> None:  # noqa: D102 - as below
            with shared.removing(self, lambda: support.partial_match(core.spec(self), labels)):
                super().remove_by_labels(labels)

        def clear(self) -> None:  # noqa: D102 - as below
            with shared.removing(self, lambda: bool):
                super().clear()

        remove.__doc__ = core.Instrument.remove.__doc__
        remove_by_labels.__doc__ = core.Instrument.remove_by_labels.__doc__
        clear.__doc__ = core.Instrument.clear.__doc__


class Replacing:
    """What exchanges the series of a gauge; stands before the core's class."""

    if not TYPE_CHECKING:

        def replace(self, values: Mapping[Any, float]) -> None:  # noqa: D102 - as below
            with shared.removing(self, lambda: bool, "replace"):
                super().replace(values)

        replace.__doc__ = core.GaugeBase.replace.__doc__


class Resetting:
    """What sets a counter to zero; stands before the core's class."""

    if not TYPE_CHECKING:

        def reset(self) -> None:  # noqa: D102 - as below
            mine = core.key(self) or ()
            with shared.removing(self, lambda: mine, "reset"):
                super().reset()

        reset.__doc__ = core.CounterBase.reset.__doc__
