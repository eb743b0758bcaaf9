"""A Django site with the conformance kit's routes, and the settings under which this process runs Django."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import django
from django.conf import settings
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.test import override_settings
from django.urls import clear_url_caches, include, path, re_path
from django.views import View
from django.views.decorators.http import require_GET, require_POST, require_safe

from measurand.testing.http import Boom
from tests.integrations.wsgi_apps import broken, endless, stream

FOR_ADMIN = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages"],
        LANGUAGES=[("en", "English"), ("de", "German")],
        LOGGING_CONFIG=None,
        MIDDLEWARE=["django.middleware.locale.LocaleMiddleware", "django.middleware.common.CommonMiddleware"],
        ROOT_URLCONF="tests.integrations.django_site",
        SECRET_KEY="for tests",
        STATIC_URL="/static/",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        USE_TZ=True,
    )
    django.setup()
    logging.getLogger("django").setLevel(logging.CRITICAL + 1)  # records of failed requests would keep the requests


def ok(request: Any) -> HttpResponse:
    return HttpResponse("ok")


def item(request: Any, id: str) -> HttpResponse:
    return HttpResponse(id)


def upload(request: Any) -> HttpResponse:
    return HttpResponse(str(len(request.body)), status=201)


def status(request: Any, code: int) -> HttpResponse:
    if code == 404:
        raise Http404
    return HttpResponse(status=code)


def boom(request: Any) -> HttpResponse:
    raise Boom


async def waiting(request: Any, id: int) -> HttpResponse:
    if id == 0:
        raise Boom
    return HttpResponse("done")


def file(request: Any) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


def raising_middleware(get_response: Any) -> Any:
    def middleware(request: Any) -> HttpResponse:
        get_response(request)
        raise Boom

    return middleware


class Parts(View):
    def get(self, request: Any, key: str) -> HttpResponse:
        return HttpResponse(key)


def streaming(make: Callable[[], Iterator[bytes]]) -> Any:
    async def in_turns(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    def view(request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(in_turns(make()) if hasattr(request, "scope") else make())

    return require_GET(view)


def urls(tick: Callable[[], None] = lambda: None) -> list[Any]:
    """The kit's routes."""
    return [
        path("ok", require_safe(ok)),
        path("items/<id>", require_GET(item)),
        path("upload", require_POST(upload)),
        path("api/", include([path("v1/", include([path("deep/<int:x>", lambda request, x: HttpResponse(str(x)))]))])),
        path("status/<int:code>", status),
        path("moved", lambda request: HttpResponseRedirect("/ok")),
        path("boom", boom),
        path("stream", streaming(lambda: stream(tick))),
        path("broken", streaming(broken)),
        path("endless", streaming(endless)),
        path("waiting/<int:id>", waiting),
        path("file", file),
        path("parts/<path:key>/", Parts.as_view()),
        re_path(r"^old/(?P<year>[0-9]{4})/$", lambda request, year: HttpResponse(year)),
        re_path(r"^shelf/", include([re_path(r"^(\d+)/$", lambda request, number: HttpResponse(number))])),
    ]


urlpatterns = urls()


@contextmanager
def urlconf(*patterns: Any) -> Iterator[None]:
    """Django with these routes."""
    module = ModuleType("urls_for_a_test")
    module.urlpatterns = list(patterns)  # type: ignore[attr-defined]
    with override_settings(ROOT_URLCONF=module):
        clear_url_caches()
        yield
    clear_url_caches()
