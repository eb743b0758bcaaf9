"""A measured Flask application on the servers for WSGI besides gunicorn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.http.requests import OF_WSGI, assert_each_is_recorded_once, assert_leavers_leave_nothing_behind, assert_same_bytes
from tests.e2e.http.running import Server
from tests.servers.process import Missing, require

pytestmark = pytest.mark.once


@pytest.mark.parametrize("name", ["wsgiref", "waitress"])
def test_a_measured_application_answers_as_without_us_and_is_recorded(name: str, tmp_path: Path) -> None:
    if find_spec(name) is None:
        require(Missing(name, f"pip install {name}"))
    command = ["tests.e2e.http.wsgi_serve", name, "PORT"]
    folders = [tmp_path / "measured", tmp_path / "bare"]
    for folder in folders:
        folder.mkdir()
    with Server(command, folders[0], "/api/v1/items/7") as measured, Server(command, folders[1], "/api/v1/items/7", BARE="1") as bare:
        assert_each_is_recorded_once(measured, OF_WSGI)
        assert_same_bytes(measured, bare)
        assert_leavers_leave_nothing_behind(measured, 10)
