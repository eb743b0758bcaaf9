"""What the routes of one application work with; made once per process."""

from __future__ import annotations

from dataclasses import dataclass

from .ai import AiProvider
from .database import Database
from .distributor import Distributor
from .events import Events
from .oidc import Oidc
from .tasks import Tasks


@dataclass(frozen=True)
class Services:
    """The parts of one application; those that ask somebody else are ``None`` unless it was configured whom."""

    database: Database
    events: Events
    tasks: Tasks
    ai: AiProvider | None = None
    distributor: Distributor | None = None
    oidc: Oidc | None = None

    def features(self) -> dict[str, bool]:
        """What is configured, by name."""
        return {"ai": self.ai is not None, "distributor": self.distributor is not None, "sign_in": self.oidc is not None}
