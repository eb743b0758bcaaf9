"""Asking pages over HTTP."""

from __future__ import annotations

import socket
import threading

import pytest

from measurand.cli.pages import Place, Unreachable, ask

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://127.0.0.1:9100", "http://127.0.0.1:9100/v1/ready"),
        ("127.0.0.1:9100", "http://127.0.0.1:9100/v1/ready"),
        ("localhost", "http://localhost/v1/ready"),
        ("https://shop.example/", "https://shop.example/v1/ready"),
        ("http://[::1]:9100", "http://[::1]:9100/v1/ready"),
        ("http://127.0.0.1:9100/readyz", "http://127.0.0.1:9100/readyz"),
    ],
)
def test_an_address_may_leave_out_what_is_usual(url: str, place: str) -> None:
    assert str(Place.of(url, "/v1/ready")) == place


@pytest.mark.parametrize("url", ["", "http://", "ftp://shop.example", "http://127.0.0.1:port", "http://:9100"])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(ValueError, match=r"is no address; write it as http://127\.0\.0\.1:9100"):
        Place.of(url, "/v1/ready")


def test_who_does_not_listen_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match=r"^http://127\.0\.0\.1:\d+/ does not answer: Connection refused$"):
            ask(Place.of(f"127.0.0.1:{unused.getsockname()[1]}", "/"))


def test_who_speaks_something_else_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        with pytest.raises(Unreachable, match="does not answer"):
            ask(Place.of(f"127.0.0.1:{server.getsockname()[1]}", "/"))
        thread.join(30)
