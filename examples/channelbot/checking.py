"""What being ready means here."""

from __future__ import annotations

from typing import Any

from measurand import Check
from measurand.health import checks

from .container import Container
from .settings import ALL


def of(container: Container) -> list[Any]:
    """The checks: without a database or a broker nothing goes; Telegram may be away for a while, what is due is sent later."""
    chosen = container.settings()
    found = [checks.sqlalchemy(container.database().engine), checks.celery(container.celery())]
    if chosen.role == ALL:
        found.append(Check("worker", container.worker().is_running))
    if chosen.has_front:
        found.append(_telegram(container))
    return found


def _telegram(container: Container) -> Check:
    async def knows_us() -> None:
        await container.bot().get_me(request_timeout=2)

    return Check("telegram", knows_us, criticality="degraded", timeout=3)
