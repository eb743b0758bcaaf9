"""Watches the services by their probes, and halts the system when nobody checks what it records.

Promises: all probes of a round run at once, each with its own time limit; a halt is ordered once for each time that the observer is gone
longer than the patience, and tried again at every round until it is recorded; only an authority lifts a halt, and only while the log is
observed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from measurand import Counter, Gauge, Histogram

from .constitution import HaltCause
from .halting import Alarm
from .handover import Handover

PROBES = {"health": "/v1/health", "ready": "/v1/ready"}
PROBE_RESULTS = Counter("watchdog_probes_total", "Probes of other services", ["target", "probe", "outcome"])
PROBE_SECONDS = Histogram("watchdog_probe_duration_seconds", "Time until a probe was answered", ["target", "probe"])
ALIVE = Gauge("watchdog_target_alive", "Whether a service answered its last liveness probe with 200", ["target"])
READY = Gauge("watchdog_target_ready", "Whether a service answered its last readiness probe with 200", ["target"])

OBSERVER = "observer"
SECONDS_TO_ANSWER = 2.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What the last round saw of a service."""

    alive: bool = False
    ready: bool = False


class Watchdog:
    """Watches some services from one event loop.

    Args:
        targets: Addresses of services by name; the one called observer decides about halts.
        handover: The way to the event writer.
        patience: Seconds that the observer may be missing.
        now: A clock that only goes forward, in seconds.
    """

    def __init__(
        self, targets: Mapping[str, str], handover: Handover, *, patience: float = 15.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.sights = dict.fromkeys(targets, Sight())
        self._targets = dict(targets)
        self._now = now
        self._alarm = Alarm(handover, "watchdog", HaltCause.UNOBSERVED)
        self._patience = patience
        self._client = httpx.AsyncClient(timeout=SECONDS_TO_ANSWER, trust_env=False)
        self._last_seen = self._now()
        self._last_round: float | None = None

    @property
    def seconds_since_last_round(self) -> float:
        """Since the last round ended; infinite before the first."""
        return float("inf") if self._last_round is None else self._now() - self._last_round

    @property
    def is_observed(self) -> bool:
        """Whether the last round saw an observer at work. A watchdog that was given none to watch believes in it."""
        return OBSERVER not in self.sights or self.sights[OBSERVER].ready

    async def round(self) -> None:
        """Ask everybody, then draw the conclusion."""
        asked = [(target, probe) for target in self._targets for probe in PROBES]
        answers = dict(zip(asked, await asyncio.gather(*(self._probe(*each) for each in asked)), strict=True))
        self.sights = {target: Sight(answers[target, "health"], answers[target, "ready"]) for target in self._targets}
        ALIVE.replace({target: float(sight.alive) for target, sight in self.sights.items()})
        READY.replace({target: float(sight.ready) for target, sight in self.sights.items()})
        now = self._last_round = self._now()
        if self.is_observed:
            self._last_seen = now
            self._alarm.clear()
        elif now - self._last_seen > self._patience:
            await self._alarm.sound(f"nobody has observed the log for {now - self._last_seen:.0f} seconds")

    async def close(self) -> None:
        """Close the connections to the services."""
        await self._client.aclose()

    async def _probe(self, target: str, probe: str) -> bool:
        try:
            with PROBE_SECONDS.labels(target, probe).time():
                answer = await self._client.get(self._targets[target] + PROBES[probe])
            passed = answer.status_code == 200
        except httpx.HTTPError:
            passed = False
        PROBE_RESULTS.labels(target, probe, "passed" if passed else "failed").inc()
        return passed
