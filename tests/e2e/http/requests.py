"""Requests to the applications of this folder, and what must be true of them on every server."""

from __future__ import annotations

from tests.e2e.http.running import Server

__all__ = [
    "OF_ASGI",
    "OF_WSGI",
    "assert_each_is_recorded_once",
    "assert_leavers_leave_nothing_behind",
    "assert_same_bytes",
    "assert_unfinished_bodies_are_disconnects",
]

Asked = tuple[str, str, int, str, str]

OF_ASGI: list[Asked] = [  # method and path; status, endpoint and error type as recorded
    ("GET", "/api/v1/items/7", 200, "/api/v1/items/{item}", ""),
    ("GET", "/api/v1/items/8", 200, "/api/v1/items/{item}", ""),
    ("PUT", "/api/v1/items/8", 405, "/api/v1/items/{item}", "client_error"),
    ("GET", "/wp-login.php", 404, "__unmatched__", "not_found"),
    ("GET", "/boom", 500, "/boom", "Boom"),
    ("GET", "/broken", 200, "/broken", "Boom"),
]
OF_WSGI: list[Asked] = [
    ("GET", "/api/v1/items/7", 200, "/api/v1/items/<item>", ""),
    ("GET", "/api/v1/items/8", 200, "/api/v1/items/<item>", ""),
    ("HEAD", "/api/v1/items/8", 200, "/api/v1/items/<item>", ""),
    ("PUT", "/api/v1/items/8", 405, "__unmatched__", "client_error"),
    ("GET", "/wp-login.php", 404, "__unmatched__", "not_found"),
    ("GET", "/boom", 500, "/boom", "Boom"),
    ("GET", "/stream", 200, "/stream", ""),
    ("GET", "/broken", 200, "/broken", "Boom"),
    ("GET", "/file", 200, "/file", ""),
    ("GET", "/plain/again", 503, "__unmatched__", "Boom"),
    ("GET", "/plain/write", 200, "__unmatched__", ""),
]
ODD = [
    ("GET", "/plain/bare"),
    ("HEAD", "/plain/bare"),
    ("GET", "/plain/nothing"),
    ("OPTIONS", "/boom"),
    ("HEAD", "/file"),
    ("HEAD", "/stream"),
]


def assert_each_is_recorded_once(server: Server, asked: list[Asked]) -> None:
    """Ask for everything, one after the other."""
    for method, path, status, endpoint, error_type in asked:
        requests = {"method": method, "endpoint": endpoint, "status": str(status)}
        counted, failed = (server.recorded(name, **requests) for name in ("http_requests_total", "http_requests_failed_total"))
        assert server.ask(method, path) == status, path
        server.until(counted + 1, "http_requests_total", **requests)
        if error_type:
            server.until(failed + 1, "http_requests_failed_total", **requests, error_type=error_type)
    assert server.recorded("http_requests_in_progress") == 0
    assert server.recorded("http_requests_total", endpoint="/v1/metrics") == 0


def assert_leavers_leave_nothing_behind(server: Server, clients: int) -> None:
    """So many clients leave in the middle of a stream."""
    left, answered = (server.recorded(name, endpoint="/endless") for name in ("http_client_disconnects_total", "http_requests_total"))
    for _ in range(clients):
        with server.connect("GET /endless HTTP/1.1\nHost: x\n\n") as connection:
            assert connection.recv(1000)
    server.until(left + clients, "http_client_disconnects_total", endpoint="/endless")
    server.until(0, "http_requests_in_progress")
    assert server.recorded("http_requests_total", endpoint="/endless", status="200") == answered + clients
    assert server.recorded("http_requests_failed_total", endpoint="/endless") == 0


def assert_unfinished_bodies_are_disconnects(server: Server) -> None:
    """Some clients leave before the end of what they send."""
    for _ in range(20):
        server.connect("POST /upload HTTP/1.1\nHost: x\nContent-Length: 1000\n\nonly this").close()
    server.until(20, "http_client_disconnects_total", endpoint="/upload")
    server.until(0, "http_requests_in_progress")
    assert server.recorded("http_requests_total", endpoint="/upload", status="499") == 20
    assert server.recorded("http_requests_failed_total", endpoint="/upload") == 0


def assert_same_bytes(measured: Server, bare: Server) -> None:
    """Ask both servers, the application of one of which is measured."""
    asked = [f"{method} {path}" for method, path in [*(each[:2] for each in OF_WSGI), *ODD]]
    requests = [f"{each} HTTP/{version}\nHost: x\nConnection: close\n\n" for each in asked for version in ("1.0", "1.1")]
    requests.append(f"POST /upload HTTP/1.1\nHost: x\nConnection: close\nContent-Length: 5000\n\n{'x' * 5000}")
    for request in requests:
        assert measured.raw(request) == bare.raw(request), request
