"""requests' sessions on a real server: each request once, as long as it takes, however it ends."""

from __future__ import annotations

import gc
import logging
import pickle
import shutil
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
import requests as library
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth
from urllib3.util import Retry

import measurand.integrations.requests as integration
from measurand import CollectorRegistry
from measurand.catalog.client import HttpClientMetrics
from measurand.errors import MissingExtra
from measurand.testing.clock import FakeClock
from tests.integrations.answering import Answering, answering
from tests.integrations.recorded import recorded
from tests.support import run_threads

pytestmark = pytest.mark.once

HERE, OTHER = "127.0.0.1", "localhost"
SEAMS = [(HTTPAdapter, "send"), (library.Response, "iter_content"), (library.Response, "close")]


def functions() -> list[Any]:
    return [vars(owner)[name] for owner, name in SEAMS]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering() as running:
        yield running


@pytest.fixture
def everything(registry: CollectorRegistry) -> Iterator[None]:
    """Every session is instrumented while the test runs."""
    with integration.instrument(hosts=[HERE, OTHER], registry=registry):
        yield


def session_of(adapter: HTTPAdapter | None = None) -> library.Session:
    session = library.Session()
    session.trust_env = False
    if adapter is not None:
        session.mount("http://", adapter)
    return session


@pytest.fixture
def session() -> Iterator[library.Session]:
    with session_of() as made:
        yield made


def requests(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "http_client_requests_total")


def errors(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "http_client_errors_total")


def in_progress(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "http_client_requests_in_progress")


@pytest.mark.usefixtures("everything")
class TestRequests:
    def test_each_is_counted_once(self, session: library.Session, server: Answering, registry: CollectorRegistry) -> None:
        assert session.get(f"{server.url}/").text == "hello"
        assert session.post(f"{server.url}/status/201", data=b"body").status_code == 201
        assert session.head(f"{server.url}/").status_code == 200
        assert session.request("purge", f"{server.url}/").status_code == 200
        expected = {f"GET {HERE} 200": 1, f"POST {HERE} 201": 1, f"HEAD {HERE} 200": 1, f"_OTHER {HERE} 200": 1}
        assert requests(registry) == expected
        assert (errors(registry), in_progress(registry)) == ({}, {})

    def test_a_bad_status_is_an_error(self, session: library.Session, server: Answering, registry: CollectorRegistry) -> None:
        session.get(f"{server.url}/status/404")
        session.get(f"{server.url}/status/503")
        assert errors(registry) == {f"{HERE} not_found": 1, f"{HERE} service_unavailable": 1}

    def test_functions_of_the_library_count_too(self, server: Answering, registry: CollectorRegistry) -> None:
        assert library.get(f"{server.url}/").status_code == 200
        assert requests(registry) == {f"GET {HERE} 200": 1}

    def test_each_redirect_that_is_followed_is_a_request(
        self, session: library.Session, server: Answering, registry: CollectorRegistry
    ) -> None:
        assert len(session.get(f"{server.url}/redirect/3").history) == 3
        assert requests(registry) == {f"GET {HERE} 302": 2, f"GET {OTHER} 302": 1, f"GET {OTHER} 200": 1}
        assert session.get(f"{server.url}/redirect/1", allow_redirects=False).next is not None
        assert requests(registry)[f"GET {HERE} 302"] == 3
        assert in_progress(registry) == {}

    def test_each_step_of_an_authentication_is_a_request(
        self, session: library.Session, server: Answering, registry: CollectorRegistry
    ) -> None:
        assert session.get(f"{server.url}/protected", auth=HTTPDigestAuth("me", "secret")).status_code == 200
        assert requests(registry) == {f"GET {HERE} 401": 1, f"GET {HERE} 200": 1}
        assert in_progress(registry) == {}

    def test_a_server_that_refuses_is_an_error(self, session: library.Session, registry: CollectorRegistry) -> None:
        with answering() as gone:
            url = gone.url
        with pytest.raises(library.ConnectionError):
            session.get(url)
        assert requests(registry) == {f"GET {HERE} none": 1}
        assert errors(registry) == {f"{HERE} ConnectionError": 1}
        assert in_progress(registry) == {}

    def test_one_that_does_not_answer_is_an_error(self, session: library.Session, server: Answering, registry: CollectorRegistry) -> None:
        with pytest.raises(library.ReadTimeout):
            session.get(f"{server.url}/silent", timeout=0.1)
        with pytest.raises(library.ConnectionError):
            session.get(f"{server.url}/closing")
        assert errors(registry) == {f"{HERE} ReadTimeout": 1, f"{HERE} ConnectionError": 1}

    def test_a_response_that_breaks_off_is_an_error(self, session: library.Session, server: Answering, registry: CollectorRegistry) -> None:
        with pytest.raises(library.exceptions.ChunkedEncodingError):
            session.get(f"{server.url}/broken")
        assert requests(registry) == {f"GET {HERE} 200": 1}
        assert errors(registry) == {f"{HERE} ChunkedEncodingError": 1}
        assert in_progress(registry) == {}

    def test_what_the_adapter_tries_again_is_one(self, server: Answering, registry: CollectorRegistry) -> None:
        retry = Retry(total=3, status_forcelist=[503], backoff_factor=0)
        with session_of(HTTPAdapter(max_retries=retry)) as session:
            assert session.get(f"{server.url}/flaky").status_code == 200
        assert requests(registry) == {f"GET {HERE} 200": 1}
        assert server.seen == ["GET /flaky"] * 3

    def test_what_the_program_tries_again_is_several(
        self, session: library.Session, server: Answering, registry: CollectorRegistry
    ) -> None:
        while session.get(f"{server.url}/flaky").status_code != 200:
            pass
        assert requests(registry) == {f"GET {HERE} 503": 2, f"GET {HERE} 200": 1}

    def test_an_adapter_of_ones_own_counts(self, server: Answering, registry: CollectorRegistry) -> None:
        class Own(HTTPAdapter):
            def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
                request.headers["X-Own"] = "yes"
                return super().send(request, *arguments, **options)

        with session_of(Own()) as session:
            session.get(f"{server.url}/")
        assert requests(registry) == {f"GET {HERE} 200": 1}


@pytest.mark.usefixtures("everything")
class TestStreams:
    def test_it_takes_until_the_last_byte(self, session: library.Session, server: Answering, registry: CollectorRegistry) -> None:
        server.part.release(1)
        with FakeClock() as clock, session.get(f"{server.url}/parts", stream=True) as response:
            clock.advance(1.0)
            parts = response.iter_content(4)
            assert next(parts) == b"part"
            assert (in_progress(registry), requests(registry)) == ({HERE: 1}, {})
            clock.advance(2.0)
            server.part.release(2)
            assert list(parts) == [b"part", b"part"]
            assert in_progress(registry) == {}
            clock.advance(4.0)
        assert recorded(registry, "http_client_request_duration_seconds_sum") == {f"GET {HERE}": 3.0}
        assert (requests(registry), errors(registry)) == ({f"GET {HERE} 200": 1}, {})

    def test_one_that_is_closed_before_is_no_error(self, session: library.Session, server: Answering, registry: CollectorRegistry) -> None:
        server.part.release(1)
        with session.get(f"{server.url}/parts", stream=True) as response:
            for _ in response.iter_content(4):
                break
            assert in_progress(registry) == {HERE: 1}
        assert (requests(registry), errors(registry), in_progress(registry)) == ({f"GET {HERE} 200": 1}, {}, {})

    def test_one_that_is_read_below_ends_when_it_is_forgotten(
        self, session: library.Session, server: Answering, registry: CollectorRegistry
    ) -> None:
        copy, response = BytesIO(), session.get(f"{server.url}/", stream=True)
        shutil.copyfileobj(response.raw, copy)
        assert copy.getvalue() == b"hello"
        assert in_progress(registry) == {HERE: 1}
        del response
        gc.collect()
        assert (requests(registry), in_progress(registry)) == ({f"GET {HERE} 200": 1}, {})

    def test_a_response_can_be_read_again_and_pickled(
        self, session: library.Session, server: Answering, registry: CollectorRegistry
    ) -> None:
        response = session.get(f"{server.url}/")
        assert list(response.iter_content(1)) == [b"h", b"e", b"l", b"l", b"o"]
        assert list(response.iter_lines()) == [b"hello"]
        assert pickle.loads(pickle.dumps(response)).text == "hello"
        assert requests(registry) == {f"GET {HERE} 200": 1}

    def test_threads_lose_nothing(self, server: Answering, registry: CollectorRegistry) -> None:
        def work() -> None:
            with session_of() as session:
                for _ in range(25):
                    session.get(f"{server.url}/")

        run_threads(*[work] * 4)
        assert requests(registry) == {f"GET {HERE} 200": 100} == {f"GET {HERE} 200": len(server.seen)}
        assert in_progress(registry) == {}


class TestInstrumenting:
    def test_all_is_as_before_when_it_is_taken_back(self, session: library.Session, server: Answering, registry: CollectorRegistry) -> None:
        before = functions()
        with integration.instrument(registry=registry) as handle:
            assert all(now is not then for now, then in zip(functions(), before, strict=True))
            assert integration.instrument() is handle
            assert handle.about == f"requests {library.__version__}, every session"
            session.get(f"{server.url}/")
        assert functions() == before
        session.get(f"{server.url}/")
        assert requests(registry) == {"GET _OTHER 200": 1}

    def test_a_response_that_is_under_way_then_ends_well(
        self, session: library.Session, server: Answering, registry: CollectorRegistry
    ) -> None:
        with integration.instrument(registry=registry):
            response = session.get(f"{server.url}/", stream=True)
        assert response.text == "hello"
        del response
        gc.collect()
        assert (requests(registry), in_progress(registry)) == ({"GET _OTHER 200": 1}, {})

    def test_hosts_that_are_named_when_it_is_asked_for_again_are_told_apart(
        self, session: library.Session, server: Answering, registry: CollectorRegistry
    ) -> None:
        with integration.instrument(registry=registry) as handle:
            session.get(f"{server.url}/")
            assert integration.instrument(hosts=[HERE]) is handle
            session.get(f"{server.url}/")
        assert requests(registry) == {"GET _OTHER 200": 1, f"GET {HERE} 200": 1}

    def test_one_session_and_all_of_them_is_once(self, session: library.Session, server: Answering, registry: CollectorRegistry) -> None:
        before, own = functions(), CollectorRegistry()
        one = integration.instrument(session, metrics=HttpClientMetrics(own))
        assert one.about.endswith("one session")
        session.mount("http://", HTTPAdapter())
        with session_of() as other:
            other.get(f"{server.url}/")
            assert (requests(own), requests(registry)) == ({}, {})
            everyone = integration.instrument(registry=registry)
            session.get(f"{server.url}/")
            other.get(f"{server.url}/status/201")
        one.uninstrument()
        session.get(f"{server.url}/status/202")
        everyone.uninstrument()
        session.get(f"{server.url}/")
        assert requests(own) == {"GET _OTHER 200": 1}
        assert requests(registry) == {"GET _OTHER 201": 1, "GET _OTHER 202": 1}
        assert functions() == before

    def test_a_failure_of_ours_is_logged_once_and_the_request_goes_on(
        self, session: library.Session, server: Answering, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(HttpClientMetrics):
            def start(self, method: str, host: str) -> Any:
                raise ZeroDivisionError

        with integration.instrument(metrics=Broken(registry)), caplog.at_level(logging.WARNING, "measurand.integrations"):
            assert session.get(f"{server.url}/").text == session.get(f"{server.url}/").text == "hello"
        assert len([record for record in caplog.records if "could not be recorded" in record.message]) == 1

    def test_an_older_version_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("measurand.integrations.handle.version_of", lambda package: "2.30.9")
        with pytest.raises(MissingExtra, match=rf"requests 2\.30\.9 is installed, and {integration.FLOOR} or newer is needed"):
            integration.instrument()
