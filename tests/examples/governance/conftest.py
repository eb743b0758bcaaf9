"""A store of its own for each test, who writes to it, and a quick way to make history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from examples.governance.constitution import Constitution
from examples.governance.store import EventStore
from examples.governance.writer import Writer
from measurand.testing.readings import Readings
from tests.examples.governance.history import History

CONSTITUTION = Constitution(quorum=2, witnesses=2, witness_within=60, answer_within=120)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    """An empty store with its table."""
    with closing(EventStore(f"sqlite:///{tmp_path / 'governance.db'}")) as fresh:
        fresh.create_tables()
        yield fresh


@pytest.fixture
def constitution() -> Constitution:
    """Two votes are a quorum, two witnesses are enough."""
    return CONSTITUTION


@pytest.fixture
def writer(store: EventStore, constitution: Constitution) -> Writer:
    """The writer of the store."""
    return Writer(store, constitution)


@pytest.fixture
def history(store: EventStore) -> History:
    """Appends straight to the store, whatever the rules say."""
    return History(store)


@pytest.fixture
def governance() -> Readings:
    """Values and changes in the governance domain, as ``metrics`` gives them for the other one."""
    from examples.governance.domains import GOVERNANCE  # noqa: PLC0415

    return Readings(GOVERNANCE)
