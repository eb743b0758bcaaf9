"""The application over a database of its own, its test client, and a workshop that is quickly furnished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from examples.inventory.app import create_app
from examples.inventory.database import Database
from tests.examples.inventory.running import Command
from tests.examples.inventory.workshop import Workshop


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database with its tables."""
    with closing(Database(f"sqlite:///{tmp_path / 'inventory.db'}")) as fresh:
        fresh.create_tables()
        yield fresh


@pytest.fixture
def client(database: Database) -> FlaskClient:
    """The real WSGI application, called without a socket."""
    return create_app(database).test_client()


@pytest.fixture
def workshop(client: FlaskClient) -> Workshop:
    """Makes what a test needs through the API."""
    return Workshop(client)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Command]:
    """The application in a process of its own, its database in ``tmp_path / "served.db"``, gauges refreshed every 100 ms."""
    url = f"sqlite:///{tmp_path / 'served.db'}"
    with Command("examples.inventory", "--port", "0", "--database-url", url, "--refresh-interval", "0.1", folder=tmp_path) as command:
        command.said(r"served at (\S+/) ")
        yield command
