"""The application over a database of its own, its test client, a workshop that is quickly furnished, and what stands in for others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient

from examples.inventory.ai import AiProvider
from examples.inventory.api.common import attach
from examples.inventory.app import create_app
from examples.inventory.database import Database
from examples.inventory.distributor import Distributor
from examples.inventory.events import Events
from examples.inventory.oidc import Oidc
from examples.inventory.services import Services
from examples.inventory.standins import ai_provider, distributor, issuer, together
from examples.inventory.tasks import Tasks
from measurand import CollectorRegistry
from measurand.lifecycle.coordinator import Coordinator
from measurand.lifecycle.tasks import TaskRunner
from tests.examples.inventory.running import Busy, Command, service
from tests.examples.inventory.workshop import Workshop


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables, which is quicker to copy than to make."""
    path = tmp_path_factory.mktemp("inventory") / "empty.db"
    with closing(Database(f"sqlite:///{path}")) as fresh:
        fresh.create_tables()
    return path


@pytest.fixture
def database(tables: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty database with its tables."""
    path = tmp_path / "inventory.db"
    shutil.copy(tables, path)
    with closing(Database(f"sqlite:///{path}")) as fresh:
        yield fresh


@pytest.fixture
def coordinator() -> Iterator[Coordinator]:
    """A life that ends with the test; its own metrics are nobody else's."""
    mine = Coordinator(drain_delay=0, registry=CollectorRegistry())
    yield mine
    mine.shutdown(10)


@pytest.fixture
def services(database: Database, coordinator: Coordinator) -> Services:
    """Everything but what asks others."""
    events = Events(heartbeat=0.05)
    return Services(database, events, Tasks(database, TaskRunner(coordinator, registry=CollectorRegistry()), events))


@pytest.fixture(scope="session")
def application() -> Flask:
    """The real WSGI application. One serves all tests, one after the other: compiling its routes takes longer than most of them."""
    return create_app(cast(Services, None))


@pytest.fixture
def client(application: Flask, services: Services) -> FlaskClient:
    """The application over the services of this test, called without a socket."""
    attach(application, services)
    return application.test_client()


@pytest.fixture
def workshop(client: FlaskClient) -> Workshop:
    """Makes what a test needs through the API."""
    return Workshop(client)


@pytest.fixture
def connected(application: Flask, services: Services) -> Iterator[Callable[..., FlaskClient]]:
    """``connected(ai=…, distributor=…, oidc=…)``: a client of the application, which asks others from now on."""
    with ExitStack() as stack:

        def made(**others: Any) -> FlaskClient:
            for other in others.values():
                stack.callback(other.close)
            attach(application, replace(services, **others))
            return application.test_client()

        yield made


@pytest.fixture
def model() -> Iterator[ai_provider.AiStandin]:
    """A provider of a language model."""
    with ai_provider.AiStandin(pace=0) as standin:
        yield standin


@pytest.fixture
def ai(connected: Callable[..., FlaskClient], model: ai_provider.AiStandin) -> FlaskClient:
    """A client of an application that asks that provider."""
    return connected(ai=AiProvider(model.url, key=ai_provider.KEY, timeout=5))


@pytest.fixture
def shop(connected: Callable[..., FlaskClient]) -> Iterator[FlaskClient]:
    """A client of an application that asks a distributor which answers five calls a minute."""
    with distributor.DistributorStandin(calls=5) as standin:
        yield connected(distributor=Distributor(standin.url, key=distributor.KEY))


@pytest.fixture(scope="session")
def login() -> Iterator[issuer.Issuer]:
    """An issuer of tokens."""
    with issuer.Issuer() as standin:
        yield standin


@pytest.fixture
def oidc(login: issuer.Issuer) -> Iterator[Oidc]:
    """This service as a client of that issuer."""
    with closing(Oidc(login.url, client_id=issuer.CLIENT_ID, client_secret=issuer.CLIENT_SECRET)) as client:
        yield client


@pytest.fixture
def members(connected: Callable[..., FlaskClient], oidc: Oidc) -> FlaskClient:
    """A client of an application that people sign in to."""
    return connected(oidc=oidc)


@pytest.fixture(scope="module")
def others() -> Iterator[dict[str, str]]:
    """The environment that makes a served application use stand-ins."""
    with together.running() as environment:
        yield environment


@pytest.fixture
def served(tmp_path: Path, others: dict[str, str]) -> Iterator[Command]:
    """The application in a process of its own, with everything; see ``running.service``."""
    with service(tmp_path, others) as command:
        yield command


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory, others: dict[str, str]) -> Iterator[Command]:
    """A service for those who only look: it has never been asked to do anything."""
    with service(tmp_path_factory.mktemp("idle"), others) as command:
        yield command


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, others: dict[str, str]) -> Iterator[Busy]:
    """A service after a day of traffic, for those who only look."""
    folder = tmp_path_factory.mktemp("busy")
    with service(folder, others) as command:
        with Command("examples.inventory.traffic", "--url", command.url, "--rate", "500", "--requests", "800", folder=folder) as traffic:
            status = traffic.ended()
        yield Busy(command, traffic, status, folder / "served.db")
