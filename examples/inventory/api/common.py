"""What all groups of routes share: the services of this application, keys in paths, pages of long lists."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from flask import Flask, current_app, request
from werkzeug.routing import IntegerConverter

from ..ai import AiProvider
from ..database import Database
from ..distributor import Distributor
from ..errors import NotConfiguredError
from ..events import Events
from ..oidc import Oidc
from ..services import Services
from ..tasks import Tasks
from .fields import Fields, Whole

T = TypeVar("T")

SERVICES = "inventory.services"
HIGHEST_KEY = 2**31 - 1  # what every database can look up; a higher number in a path names nothing

PAGE = {"limit": Whole(1, 200, default=50), "offset": Whole(0, HIGHEST_KEY, default=0)}


class RowKey(IntegerConverter):
    """``<key:part_id>``: a whole number that a primary key can have; anything else in its place is a 404."""

    def __init__(self, url_map: Any) -> None:
        super().__init__(url_map, min=1, max=HIGHEST_KEY)


def attach(app: Flask, services: Services) -> None:
    """Let the routes of an application work with these services from now on."""
    app.extensions[SERVICES] = services


def database() -> Database:
    """The database."""
    return _services().database


def events() -> Events:
    """The event streams."""
    return _services().events


def tasks() -> Tasks:
    """The background tasks."""
    return _services().tasks


def features() -> dict[str, bool]:
    """What is configured, by name."""
    return _services().features()


def ai() -> AiProvider:
    """The language model. Raises ``NotConfiguredError`` where none is configured."""
    return _configured(_services().ai, "AI_URL")


def distributor() -> Distributor:
    """The distributor. Raises ``NotConfiguredError`` where none is configured."""
    return _configured(_services().distributor, "DISTRIBUTOR_URL")


def oidc() -> Oidc:
    """The issuer. Raises ``NotConfiguredError`` where none is configured."""
    return _configured(_services().oidc, "OIDC_ISSUER")


def body(fields: Fields) -> dict[str, Any]:
    """The request's JSON object, checked. Raises ``InvalidError``."""
    return fields.read_json(request)


def query(fields: Fields) -> dict[str, Any]:
    """The request's query parameters, checked. Raises ``InvalidError``."""
    return fields.read_query(request)


def _services() -> Services:
    """What was attached to the application."""
    return cast(Services, current_app.extensions[SERVICES])


def _configured(service: T | None, variable: str) -> T:
    if service is None:
        raise NotConfiguredError(f"this is not configured here; set {variable} when you start the service")
    return service
