"""All stand-ins at once, and the settings that make the service use them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from . import ai_provider, distributor, issuer

LIFETIME = 60  # seconds; short, so that sign-ins are refreshed while somebody watches


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """Run the three while the block lasts. Yields the environment that the service needs to use them."""
    with issuer.Issuer(lifetime=LIFETIME) as login, ai_provider.AiStandin() as model, distributor.DistributorStandin() as parts:
        yield {
            "OIDC_ISSUER": login.url,
            "OIDC_CLIENT_ID": issuer.CLIENT_ID,
            "OIDC_CLIENT_SECRET": issuer.CLIENT_SECRET,
            "AI_URL": model.url,
            "AI_API_KEY": ai_provider.KEY,
            "DISTRIBUTOR_URL": parts.url,
            "DISTRIBUTOR_API_KEY": distributor.KEY,
        }
