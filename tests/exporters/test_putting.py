"""What the ends of a call of PutMetricData mean."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from measurand.exporters.putting import Invalid, NotNow, Putter, Unanswered
from tests.exporters.cloudwatch_stand_in import CloudWatchStandIn, Fault

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("aws_credentials")]

DATA = [{"MetricName": "orders", "Value": 1.0}]
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def stand_in() -> Iterator[CloudWatchStandIn]:
    with CloudWatchStandIn(NOBODY) as running:
        yield running


def putter(url: str, timeout: float = 30.0, **settings: Any) -> Putter:
    return Putter(None, **({"region": "eu-west-1", "endpoint_url": url, "compress": True, "timeout": timeout} | settings))


@pytest.mark.parametrize(
    ("status", "code", "end"),
    [
        (400, "InvalidParameterValue", Invalid),
        (400, "InvalidParameterCombination", Invalid),
        (400, "MissingParameter", Invalid),
        (400, "ValidationError", Invalid),
        (413, "Whatever", Invalid),
        (400, "Throttling", NotNow),
        (400, "ThrottlingException", NotNow),
        (429, "TooManyRequests", NotNow),
        (400, "UnrecognizedClientException", NotNow),
        (400, "RequestExpired", NotNow),
        (403, "InvalidClientTokenId", NotNow),
        (403, "AccessDenied", NotNow),
        (404, "UnknownOperationException", NotNow),
        (500, "InternalServiceFault", NotNow),
        (503, "ServiceUnavailable", NotNow),
        (504, "GatewayTimeout", NotNow),
    ],
)
def test_an_answer_tells_what_is_invalid_from_what_is_not_taken_now(
    stand_in: CloudWatchStandIn, status: int, code: str, end: type[Exception]
) -> None:
    stand_in.faults.append(Fault(status, code))
    one = putter(stand_in.url)
    with pytest.raises(end, match=f"CloudWatch answered {status} {code}"):
        one.put("Shop", DATA, 30.0)
    one.close()
    assert len(stand_in.calls) == 1


class Abrupt(BaseHTTPRequestHandler):
    """Reads a request and closes the connection, or answers nonsense."""

    answer = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.wfile.write(self.answer)
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def abrupt() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), type("Abrupt", (Abrupt,), {})) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(20)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 2", b"none of your business\r\n\r\n"])
def test_an_end_without_an_answer_tells_nothing(abrupt: HTTPServer, answer: bytes) -> None:
    abrupt.RequestHandlerClass.answer = answer  # type: ignore[attr-defined]
    one = putter(f"http://127.0.0.1:{abrupt.server_address[1]}")
    with pytest.raises(Unanswered, match="CloudWatch did not answer"):
        one.put("Shop", DATA, 30.0)
    one.close()


def test_silence_tells_nothing(stand_in: CloudWatchStandIn) -> None:
    stand_in.faults.append(Fault())
    one = putter(stand_in.url, 2.0)
    with pytest.raises(Unanswered, match="CloudWatch did not answer: Read timeout"):
        one.put("Shop", DATA, 30.0)
    one.close()


def test_what_nobody_has_heard_is_not_taken() -> None:
    one = putter(NOBODY)
    with pytest.raises(NotNow, match="CloudWatch cannot be reached"):
        one.put("Shop", DATA, 30.0)
    one.close()


def test_a_server_that_is_not_trusted_is_sent_nothing(tmp_path: Path, abrupt: HTTPServer) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=nobody", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    abrupt.socket = context.wrap_socket(abrupt.socket, server_side=True)
    one = putter(f"https://127.0.0.1:{abrupt.server_address[1]}")
    with pytest.raises(NotNow, match=r"cannot be reached.*(?i:certificate)"):
        one.put("Shop", DATA, 30.0)
    one.close()


def test_a_request_of_too_many_bytes_is_not_sent(stand_in: CloudWatchStandIn) -> None:
    large = [
        {"MetricName": f"{number}" + "x" * 200, "Dimensions": [{"Name": "a", "Value": "y" * 1000}], "Value": 1.0} for number in range(900)
    ]
    one = putter(stand_in.url, compress=False)
    with pytest.raises(Invalid, match=r"its request has \d+ bytes, and 1000000 is the limit"):
        one.put("Shop", large, 30.0)
    assert stand_in.calls == []
    one.close()


def test_what_boto3_cannot_write_is_invalid(stand_in: CloudWatchStandIn) -> None:
    one = putter(stand_in.url)
    with pytest.raises(Invalid, match="Invalid type for parameter"):
        one.put("Shop", [{"MetricName": 5, "Value": 1.0}], 30.0)
    assert stand_in.calls == []
    one.close()
