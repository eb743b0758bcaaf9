"""What can be chosen when the service is started, and what it opens then."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .ai import AiProvider
from .database import Database
from .distributor import Distributor
from .oidc import Oidc


@dataclass(frozen=True)
class Settings:
    """All of it. Services elsewhere are used when their address is given."""

    database_url: str = "sqlite:///inventory.db"
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    ai_url: str = ""
    ai_api_key: str = ""
    ai_model: str = "standin-small"
    distributor_url: str = ""
    distributor_api_key: str = ""
    refresh_interval: float = 15
    heartbeat: float = 5
    drain_delay: float = 1
    log_level: str = "info"

    @classmethod
    def read(cls, environment: Mapping[str, str], **chosen: Any) -> Settings:
        """From the command line where something was chosen there, else from the environment, else the default."""
        names = cls.__dataclass_fields__
        found = {name: environment[name.upper()] for name in names if names[name].type == "str" and environment.get(name.upper())}
        return cls(**found | {name: value for name, value in chosen.items() if value is not None})

    def open(self, stack: contextlib.ExitStack) -> tuple[Database, AiProvider | None, Distributor | None, Oidc | None]:
        """Open the database, and make the clients of what is configured; all are closed at the end of the stack.

        Raises:
            InvalidError: A setting cannot be used.
            ImportError: The database needs a driver that is not installed.
            sqlalchemy.exc.SQLAlchemyError: The database cannot be named like this.
        """
        database = stack.enter_context(contextlib.closing(Database(self.database_url)))
        ai = distributor = oidc = None
        if self.ai_url:
            ai = stack.enter_context(contextlib.closing(AiProvider(self.ai_url, key=self.ai_api_key, model=self.ai_model)))
        if self.distributor_url:
            distributor = stack.enter_context(contextlib.closing(Distributor(self.distributor_url, key=self.distributor_api_key)))
        if self.oidc_issuer:
            client = Oidc(self.oidc_issuer, client_id=self.oidc_client_id, client_secret=self.oidc_client_secret)
            oidc = stack.enter_context(contextlib.closing(client))
        return database, ai, distributor, oidc
