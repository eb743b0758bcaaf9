"""A Django site with a metrics page, run as its own manage.py."""

from __future__ import annotations

import os
import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.urls import path

from measurand import generate_latest
from tests.e2e.families import counting

settings.configure(DEBUG=True, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", USE_TZ=True)


def hit(request: HttpRequest) -> HttpResponse:
    return HttpResponse(counting.hit())


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(os.getpid()))


def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(), content_type="text/plain")


urlpatterns = [path("hit", hit), path("who", who), path("metrics", metrics)]

if __name__ == "__main__":
    django.setup()
    execute_from_command_line(sys.argv)
