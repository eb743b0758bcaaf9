"""What integrations need, the stand-in offers; that the runtime does, too, is checked with the types."""

from __future__ import annotations

import pytest

from measurand.integrations.service import Service
from measurand.testing.http import StandIn

pytestmark = pytest.mark.once

NEEDED = [name for name in dir(Service) if not name.startswith("_")]


def test_the_protocol_is_small() -> None:
    assert NEEDED == ["excluded", "http", "is_stopping", "pages", "server_started", "server_stopping"]


def test_the_stand_in_has_all_of_it() -> None:
    service: Service = StandIn()
    assert [name for name in NEEDED if not hasattr(service, name)] == []
