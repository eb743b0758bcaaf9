"""What there is one of: a container of ``dependency-injector`` with singletons, each made when it is first asked for.

Every metric of the application goes into the one registry that the container provides. In a process that serves it is the library's own;
a test overrides it with an empty one, and has the whole application on that::

    container = Container(settings=settings, registry=CollectorRegistry())
"""

from __future__ import annotations

from dependency_injector import containers, providers

from measurand import REGISTRY
from measurand.catalog.business import BusinessMetrics

from .api import create_app
from .bot import Polling, make_dispatcher
from .database import Database
from .posts import Posts
from .settings import Settings
from .tasks import CeleryJobs, add_tasks, make_celery
from .telegram import Telegram, make_bot
from .views import HttpAudience
from .worker import Worker


class Container(containers.DeclarativeContainer):
    """The application."""

    settings = providers.Dependency(instance_of=Settings)
    registry = providers.Object(REGISTRY)

    business = providers.Singleton(BusinessMetrics, registry=registry, snapshots=settings.provided.has_front)
    database = providers.Singleton(Database, settings.provided.database_url)
    posts = providers.Singleton(Posts, database, business)

    publisher = providers.Singleton(Telegram, settings.provided.token, settings.provided.telegram_api)
    audience = providers.Singleton(HttpAudience, settings.provided.views_url)
    celery = providers.Singleton(
        add_tasks,
        providers.Singleton(make_celery, settings.provided.broker_url),
        posts.provider,  # not what it provides: a worker is forked before it has a database
        publisher.provider,
        audience.provider,
    )
    jobs = providers.Singleton(CeleryJobs, celery)
    worker = providers.Singleton(Worker, celery, settings.provided.concurrency)

    bot = providers.Singleton(make_bot, settings.provided.token, settings.provided.telegram_api)
    dispatcher = providers.Singleton(make_dispatcher, posts)
    polling = providers.Singleton(Polling, bot, dispatcher)
    api = providers.Singleton(create_app, posts, jobs)
