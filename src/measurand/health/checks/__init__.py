"""Checks of what services usually depend on; each function makes one, to be given to ``HealthMonitor.add``.

They take the client or the engine that the application uses anyway, import nothing from elsewhere, and never hold a connection for longer
than a run.
"""

from measurand.health.checks.brokers import celery
from measurand.health.checks.databases import sqlalchemy
from measurand.health.checks.network import http_check as http
from measurand.health.checks.network import tcp
from measurand.health.checks.storage import disk
from measurand.health.checks.stores import redis

__all__ = ["celery", "disk", "http", "redis", "sqlalchemy", "tcp"]
