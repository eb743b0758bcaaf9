"""httpx's clients on a real server: each request once, as long as it takes, however it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx as library
import pytest

import measurand.integrations.httpx as integration
from measurand import CollectorRegistry
from measurand.catalog.client import HttpClientMetrics
from measurand.errors import MissingExtra
from measurand.testing.clock import FakeClock
from tests.integrations.answering import Answering, answering
from tests.integrations.recorded import recorded
from tests.support import run_threads, wait_until

pytestmark = pytest.mark.once

HERE, OTHER = "127.0.0.1", "localhost"
SEAMS = [(library.Client, "_send_single_request"), (library.AsyncClient, "_send_single_request")]


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
    """Every client is instrumented while the test runs."""
    with integration.instrument(hosts=[HERE, OTHER], registry=registry):
        yield


@pytest.fixture
def client(server: Answering) -> Iterator[library.Client]:
    with library.Client(base_url=server.url, timeout=60, trust_env=False) as made:
        yield made


def requests(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "http_client_requests_total")


def errors(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "http_client_errors_total")


def in_progress(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "http_client_requests_in_progress")


@pytest.mark.usefixtures("everything")
class TestRequests:
    def test_each_is_counted_once(self, client: library.Client, registry: CollectorRegistry) -> None:
        assert client.get("/").text == "hello"
        assert client.post("/status/201", content=b"body").status_code == 201
        assert client.head("/").status_code == 200
        assert client.request("PURGE", "/").status_code == 200
        expected = {f"GET {HERE} 200": 1, f"POST {HERE} 201": 1, f"HEAD {HERE} 200": 1, f"_OTHER {HERE} 200": 1}
        assert requests(registry) == expected
        assert (errors(registry), in_progress(registry)) == ({}, {})

    def test_a_bad_status_is_an_error(self, client: library.Client, registry: CollectorRegistry) -> None:
        client.get("/status/404")
        client.get("/status/503")
        assert errors(registry) == {f"{HERE} not_found": 1, f"{HERE} service_unavailable": 1}

    def test_a_host_that_was_not_named_is_one_of_the_others(self, server: Answering, registry: CollectorRegistry) -> None:
        with library.Client(transport=library.MockTransport(lambda request: library.Response(204))) as client:
            client.get("https://elsewhere.example/orders/4711?token=secret")
        assert requests(registry) == {"GET _OTHER 204": 1}

    def test_functions_of_the_library_count_too(self, server: Answering, registry: CollectorRegistry) -> None:
        assert library.get(f"{server.url}/", trust_env=False).status_code == 200
        assert requests(registry) == {f"GET {HERE} 200": 1}

    def test_each_redirect_that_is_followed_is_a_request(self, client: library.Client, registry: CollectorRegistry) -> None:
        assert client.get("/redirect/3", follow_redirects=True).history[-1].status_code == 302
        assert requests(registry) == {f"GET {HERE} 302": 2, f"GET {OTHER} 302": 1, f"GET {OTHER} 200": 1}
        client.get("/redirect/1")
        assert requests(registry)[f"GET {HERE} 302"] == 3
        assert in_progress(registry) == {}

    def test_each_step_of_an_authentication_is_a_request(self, client: library.Client, registry: CollectorRegistry) -> None:
        assert client.get("/protected", auth=library.DigestAuth("me", "secret")).status_code == 200
        assert requests(registry) == {f"GET {HERE} 401": 1, f"GET {HERE} 200": 1}
        assert in_progress(registry) == {}

    def test_a_server_that_refuses_is_an_error(self, registry: CollectorRegistry) -> None:
        with answering() as gone:
            url = gone.url
        transport = library.HTTPTransport(retries=1)  # within the transport, so that it stays one request
        with library.Client(transport=transport) as client, pytest.raises(library.ConnectError):
            client.get(url)
        assert requests(registry) == {f"GET {HERE} none": 1}
        assert errors(registry) == {f"{HERE} ConnectError": 1}
        assert in_progress(registry) == {}

    def test_one_that_does_not_answer_is_an_error(self, client: library.Client, registry: CollectorRegistry) -> None:
        with pytest.raises(library.ReadTimeout):
            client.get("/silent", timeout=0.1)
        with pytest.raises(library.RemoteProtocolError):
            client.get("/closing")
        assert errors(registry) == {f"{HERE} ReadTimeout": 1, f"{HERE} RemoteProtocolError": 1}
        assert requests(registry) == {f"GET {HERE} none": 2}

    def test_a_response_that_breaks_off_is_an_error(self, client: library.Client, registry: CollectorRegistry) -> None:
        with pytest.raises(library.RemoteProtocolError):
            client.get("/broken")
        assert requests(registry) == {f"GET {HERE} 200": 1}
        assert errors(registry) == {f"{HERE} RemoteProtocolError": 1}
        assert in_progress(registry) == {}

    def test_retries_of_the_program_are_requests_of_their_own(self, client: library.Client, registry: CollectorRegistry) -> None:
        while client.get("/flaky").status_code != 200:
            pass
        assert requests(registry) == {f"GET {HERE} 503": 2, f"GET {HERE} 200": 1}

    def test_those_of_a_transport_are_one(self, server: Answering, registry: CollectorRegistry) -> None:
        class Retrying(library.HTTPTransport):
            def handle_request(self, request: library.Request) -> library.Response:
                while (response := super().handle_request(request)).status_code == 503:
                    response.close()
                return response

        with library.Client(transport=Retrying(), base_url=server.url) as client:
            assert client.get("/flaky").status_code == 200
        assert requests(registry) == {f"GET {HERE} 200": 1}
        assert server.seen == ["GET /flaky"] * 3

    def test_it_takes_until_the_last_byte(self, client: library.Client, server: Answering, registry: CollectorRegistry) -> None:
        server.part.release(1)
        with FakeClock() as clock, client.stream("GET", "/parts") as response:
            clock.advance(1.0)
            parts = response.iter_raw()
            assert next(parts) == b"part"
            assert (in_progress(registry), requests(registry)) == ({HERE: 1}, {})
            clock.advance(2.0)
            server.part.release(2)
            assert list(parts) == [b"part", b"part"]
            assert in_progress(registry) == {}
            clock.advance(4.0)
        assert recorded(registry, "http_client_request_duration_seconds_sum") == {f"GET {HERE}": 3.0}
        assert (requests(registry), errors(registry)) == ({f"GET {HERE} 200": 1}, {})

    def test_a_stream_that_is_closed_before_is_no_error(
        self, client: library.Client, server: Answering, registry: CollectorRegistry
    ) -> None:
        server.part.release(1)
        with client.stream("GET", "/parts") as response:
            for _ in response.iter_raw():
                break
            assert in_progress(registry) == {HERE: 1}
        assert (requests(registry), errors(registry), in_progress(registry)) == ({f"GET {HERE} 200": 1}, {}, {})

    def test_one_that_is_read_below_ends_with_its_last_byte_too(self, client: library.Client, registry: CollectorRegistry) -> None:
        with client.stream("GET", "/") as response:
            assert isinstance(response.stream, library.SyncByteStream)
            assert b"".join(response.stream) == b"hello"
            assert (requests(registry), in_progress(registry)) == ({f"GET {HERE} 200": 1}, {})

    def test_one_that_is_forgotten_does_not_stay_in_progress(self, client: library.Client, registry: CollectorRegistry) -> None:
        response = client.send(client.build_request("GET", "/"), stream=True)
        assert (response.status_code, in_progress(registry)) == (200, {HERE: 1})
        del response
        gc.collect()
        assert (requests(registry), in_progress(registry)) == ({f"GET {HERE} 200": 1}, {})

    def test_threads_lose_nothing(self, client: library.Client, server: Answering, registry: CollectorRegistry) -> None:
        run_threads(*[lambda: [client.get("/") for _ in range(25)]] * 4)
        assert requests(registry) == {f"GET {HERE} 200": 100} == {f"GET {HERE} 200": len(server.seen)}
        assert in_progress(registry) == {}


@pytest.mark.usefixtures("everything")
class TestAsync:
    @pytest.fixture
    def run(self, server: Answering) -> Callable[[Callable[[library.AsyncClient], Awaitable[None]]], None]:
        def run(step: Callable[[library.AsyncClient], Awaitable[None]]) -> None:
            async def main() -> None:
                async with library.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client:
                    await step(client)

            asyncio.run(main())

        return run

    def test_each_is_counted_once(self, run: Any, registry: CollectorRegistry) -> None:
        async def step(client: library.AsyncClient) -> None:
            assert (await client.get("/")).text == "hello"
            await client.get("/redirect/1", follow_redirects=True)
            await client.get("/protected", auth=library.DigestAuth("me", "secret"))
            with pytest.raises(library.RemoteProtocolError):
                await client.get("/broken")

        run(step)
        assert requests(registry) == {f"GET {HERE} 200": 3, f"GET {HERE} 302": 1, f"GET {OTHER} 200": 1, f"GET {HERE} 401": 1}
        assert errors(registry) == {f"{HERE} unauthorized": 1, f"{HERE} RemoteProtocolError": 1}
        assert in_progress(registry) == {}

    def test_one_that_is_cancelled_is_counted(self, run: Any, server: Answering, registry: CollectorRegistry) -> None:
        async def step(client: library.AsyncClient) -> None:
            async def read() -> None:
                async with client.stream("GET", "/parts") as response:
                    await response.aread()

            tasks = [asyncio.create_task(client.get("/silent")), asyncio.create_task(read())]
            await asyncio.to_thread(wait_until, lambda: len(server.seen) == 2, 30)
            assert in_progress(registry) == {HERE: 2}
            for task in tasks:
                task.cancel()
            done, _ = await asyncio.wait(tasks, timeout=30)
            assert [task.cancelled() for task in done] == [True, True]

        run(step)
        assert sum(requests(registry).values()) == 2
        assert errors(registry) == {f"{HERE} cancelled": 2}
        assert in_progress(registry) == {}

    def test_a_stream_ends_with_its_last_byte_or_when_it_is_closed(self, run: Any, server: Answering, registry: CollectorRegistry) -> None:
        async def step(client: library.AsyncClient) -> None:
            server.part.release(3)
            with FakeClock() as clock:
                async with client.stream("GET", "/parts") as response:
                    clock.advance(1.0)
                    assert [part async for part in response.aiter_raw()] == [b"part"] * 3
                    clock.advance(2.0)
            server.part.release(1)
            async with client.stream("GET", "/parts") as response:
                async for _ in response.aiter_raw():
                    break
                assert in_progress(registry) == {HERE: 1}
            async with client.stream("GET", "/") as response:
                assert isinstance(response.stream, library.AsyncByteStream)
                assert b"".join([part async for part in response.stream]) == b"hello"
                assert in_progress(registry) == {}

        run(step)
        assert recorded(registry, "http_client_request_duration_seconds_bucket")[f"GET {HERE} 1.0"] >= 1
        assert (requests(registry), errors(registry), in_progress(registry)) == ({f"GET {HERE} 200": 3}, {}, {})

    def test_an_application_behind_a_transport_counts_too(self, registry: CollectorRegistry) -> None:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 202, "headers": []})
            await send({"type": "http.response.body", "body": b"done"})

        async def main() -> None:
            async with library.AsyncClient(transport=library.ASGITransport(application), base_url=f"http://{OTHER}") as client:
                assert (await client.get("/")).text == "done"

        asyncio.run(main())
        assert (requests(registry), in_progress(registry)) == ({f"GET {OTHER} 202": 1}, {})

    def test_many_tasks_lose_nothing(self, run: Any, server: Answering, registry: CollectorRegistry) -> None:
        async def step(client: library.AsyncClient) -> None:
            await asyncio.gather(*(client.get("/") for _ in range(100)))

        run(step)
        assert requests(registry) == {f"GET {HERE} 200": 100} == {f"GET {HERE} 200": len(server.seen)}


class TestInstrumenting:
    def test_all_is_as_before_when_it_is_taken_back(self, client: library.Client, registry: CollectorRegistry) -> None:
        before = functions()
        with integration.instrument(registry=registry) as handle:
            assert all(now is not then for now, then in zip(functions(), before, strict=True))
            assert integration.instrument() is handle
            assert handle.about == f"httpx {library.__version__}, every client"
            client.get("/")
        assert functions() == before
        client.get("/")
        assert requests(registry) == {"GET _OTHER 200": 1}

    def test_hosts_that_are_named_when_it_is_asked_for_again_are_told_apart(
        self, client: library.Client, registry: CollectorRegistry
    ) -> None:
        with integration.instrument(registry=registry) as handle:
            client.get("/")
            assert integration.instrument(hosts=[HERE]) is handle
            client.get("/")
        assert requests(registry) == {"GET _OTHER 200": 1, f"GET {HERE} 200": 1}

    def test_one_client_and_all_of_them_is_once(self, client: library.Client, server: Answering, registry: CollectorRegistry) -> None:
        before, own = functions(), CollectorRegistry()
        one = integration.instrument(client, metrics=HttpClientMetrics(own))
        assert one.about.endswith("one client")
        with library.Client(base_url=server.url, trust_env=False) as other:
            other.get("/")
            assert (requests(own), requests(registry)) == ({}, {})
            everyone = integration.instrument(registry=registry)
            client.get("/")
            other.get("/status/201")
        one.uninstrument()
        client.get("/status/202")
        everyone.uninstrument()
        client.get("/")
        assert requests(own) == {"GET _OTHER 200": 1}
        assert requests(registry) == {"GET _OTHER 201": 1, "GET _OTHER 202": 1}
        assert functions() == before

    def test_a_failure_of_ours_is_logged_once_and_the_request_goes_on(
        self, client: library.Client, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(HttpClientMetrics):
            def start(self, method: str, host: str) -> Any:
                raise ZeroDivisionError

        with integration.instrument(metrics=Broken(registry)), caplog.at_level(logging.WARNING, "measurand.integrations"):
            assert client.get("/").text == client.get("/").text == "hello"
        assert len([record for record in caplog.records if "could not be recorded" in record.message]) == 1

    def test_hosts_that_are_no_list_are_refused_and_nothing_is_replaced(self, registry: CollectorRegistry) -> None:
        before = functions()
        with pytest.raises(TypeError, match="hosts is a list of names"):
            integration.instrument(hosts=HERE, registry=registry)
        assert functions() == before

    def test_an_older_version_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("measurand.integrations.handle.version_of", lambda package: "0.26.9")
        with pytest.raises(MissingExtra, match=rf"httpx 0\.26\.9 is installed, and {integration.FLOOR} or newer is needed"):
            integration.instrument()

    def test_a_client_that_is_used_in_several_threads_is_instrumented_once(
        self, client: library.Client, registry: CollectorRegistry
    ) -> None:
        handles: list[Any] = []
        lock = threading.Lock()

        def instrument() -> None:
            handle = integration.instrument(client, registry=registry)
            with lock:
                handles.append(handle)

        run_threads(*[instrument] * 4)
        assert len(set(map(id, handles))) == 1
        client.get("/")
        handles[0].uninstrument()
        assert requests(registry) == {"GET _OTHER 200": 1}
