"""Gets a halt recorded: by a person's order, or by a service that has found a reason and keeps trying."""

from __future__ import annotations

import logging
from typing import Any

from measurand import Counter

from .constitution import HaltCause, Kind
from .domains import GOVERNANCE
from .errors import PendingError, UnreachableError
from .events import Act
from .handover import Handover
from .rules import RefusedError

LOG = logging.getLogger(__name__)

HALTS_ORDERED = Counter(
    "governance_halts_ordered_total",
    "Halts that this service brought about, by what caused them",
    ["halt_cause"],
    registry=GOVERNANCE,
    label_values={"halt_cause": list(HaltCause)},
)


async def order(handover: Handover, actor: str, reason: str) -> dict[str, Any]:
    """Halt because somebody said so. Raises what ``Handover.submit`` raises."""
    event = await handover.submit(Act(Kind.HALT, actor, text=reason))
    HALTS_ORDERED.labels(HaltCause.ORDER).inc()
    return event


class Alarm:
    """One halt for as long as its reason lasts, whatever is in the way of recording it.

    Args:
        handover: The way to the event writer.
        service: Who halts.
        cause: Why.
    """

    def __init__(self, handover: Handover, service: str, cause: HaltCause) -> None:
        self._handover = handover
        self._service = service
        self._cause = cause
        self._act: Act | None = None
        self._is_settled = False

    def clear(self) -> None:
        """The reason is gone; the next one is a reason for a halt of its own."""
        self._act, self._is_settled = None, False

    async def sound(self, reason: str) -> None:
        """The reason is there: halt, or try again to. Never raises for what is in the way; call it at every round."""
        if self._is_settled:
            return
        self._act = self._act or Act(Kind.HALT, self._service, text=reason)  # the same act each time, so that it is recorded once
        try:
            await self._handover.submit(self._act)
        except RefusedError:  # somebody else has halted the system
            self._is_settled = True
        except (UnreachableError, PendingError) as obstacle:
            LOG.error("the halt is not recorded yet", extra={"halt_cause": self._cause, "reason": str(obstacle)})
        else:
            self._is_settled = True
            HALTS_ORDERED.labels(self._cause).inc()
            LOG.error("halted", extra={"halt_cause": self._cause, "reason": reason})
