"""redis-py's synchronous clients on a real server: each command once, whatever it is sent with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import redis as library
from redis import asyncio as aio

import measurand.integrations.redis as integration
from measurand import CollectorRegistry
from measurand.catalog.redis import RedisMetrics
from measurand.errors import MissingExtra
from measurand.testing.clock import FakeClock
from tests.integrations.recorded import recorded
from tests.servers import Redis
from tests.servers.redis import binary
from tests.support import in_background, run_threads, wait_until

pytestmark = pytest.mark.once

SEAMS = [
    (owner, name)
    for clients, clusters in ((library.client, library.cluster), (aio.client, aio.cluster))
    for owner, name in (
        (clients.Redis, "execute_command"),
        (clients.Pipeline, "execute"),
        (clients.Pipeline, "immediate_execute_command"),
        (clusters.RedisCluster, "execute_command"),
        (clusters.ClusterPipeline, "execute"),
    )
]
SEAMS.append((library.RedisCluster, "get_redis_connection"))


def functions() -> list[Any]:
    return [vars(owner)[name] for owner, name in SEAMS]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def everything(registry: CollectorRegistry) -> Iterator[None]:
    """Every client is instrumented while the test runs."""
    with integration.instrument(registry=registry):
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One for those who neither stop it nor count its connections."""
    with Redis(binary(), tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def client(server: Redis) -> Iterator[library.Redis]:
    with library.Redis(port=server.port, retry=None, socket_timeout=60) as made:
        yield made
        made.flushall()


def timed(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "redis_command_duration_seconds_count")


def errors(registry: CollectorRegistry) -> dict[str, float]:
    return recorded(registry, "redis_errors_total")


@pytest.mark.usefixtures("everything")
class TestCommands:
    def test_each_is_counted_once_by_its_name(self, client: library.Redis, registry: CollectorRegistry) -> None:
        client.set("session:4711", "secret")
        assert client.get("session:4711") == b"secret"
        assert client.get("nothing") is None
        client.config_get("save")
        client.execute_command("get nothing")
        assert timed(registry) == {"SET": 1, "GET": 3, "CONFIG": 1}
        assert errors(registry) == {}

    def test_how_long_it_takes_is_what_the_clock_says(self, client: library.Redis, registry: CollectorRegistry) -> None:
        client.ping()
        with FakeClock() as clock:
            client.set_response_callback("ECHO", lambda response: clock.advance(0.25))
            client.echo("hello")
        assert recorded(registry, "redis_command_duration_seconds_sum")["ECHO"] == 0.25

    def test_what_the_server_refuses_is_raised_and_counted(self, client: library.Redis, registry: CollectorRegistry) -> None:
        client.set("text", "hello")
        with pytest.raises(library.ResponseError, match="not an integer"):
            client.incr("text")
        with pytest.raises(library.ResponseError, match="unknown command"):
            client.execute_command("session:4711")
        assert timed(registry) == {"SET": 1, "INCRBY": 1, "_OTHER": 1}
        assert errors(registry) == {"ResponseError": 2}

    def test_a_server_that_is_gone_is_an_error_and_one_command(self, redis: Redis, registry: CollectorRegistry) -> None:
        with library.Redis(port=redis.port, retry=None) as client:
            client.ping()
            redis.stop()
            with pytest.raises(library.ConnectionError):
                client.ping()
        assert timed(registry) == {"PING": 2}
        assert errors(registry) == {"ConnectionError": 1}

    def test_one_that_does_not_answer_is_too(self, redis: Redis, registry: CollectorRegistry) -> None:
        with library.Redis(port=redis.port, retry=None, socket_timeout=1) as client:
            client.ping()
            redis.pause()
            with pytest.raises(library.TimeoutError):
                client.get("a")
            redis.resume()
        assert timed(registry) == {"PING": 1, "GET": 1}
        assert errors(registry) == {"TimeoutError": 1}

    def test_one_that_is_tried_again_is_one(self, server: Redis, registry: CollectorRegistry) -> None:
        retry = library.retry.Retry(library.backoff.NoBackoff(), 3)
        with library.Redis(port=server.port, retry=retry) as client:
            client.ping()
            with library.Redis(port=server.port, retry=None) as other:
                other.client_kill_filter(_type="normal")
            assert client.get("a") is None
        assert (timed(registry)["GET"], errors(registry)) == (1, {})

    def test_a_failing_script_is_counted_as_what_was_sent(self, client: library.Redis, registry: CollectorRegistry) -> None:
        assert client.register_script("return 7")() == 7
        assert timed(registry) == {"EVALSHA": 2, "SCRIPT": 1}
        assert errors(registry) == {"NoScriptError": 1}

    def test_one_that_waits_is_not_timed(self, client: library.Redis, registry: CollectorRegistry) -> None:
        client.xadd("stream", {"field": "BLOCK"})
        client.xgroup_create("stream", "BLOCK", id="0")
        assert client.blpop(["queue"], timeout=0.01) is None
        assert not client.xread({"stream": "$"}, block=1)
        assert client.xreadgroup("BLOCK", "me", {"stream": ">"}, count=1, block=1)
        assert client.xreadgroup("BLOCK", "me", {"stream": "0"})
        assert client.xread({"stream": "0", "BLOCK": "0"})
        assert timed(registry) == {"XADD": 1, "XGROUP": 1, "XREADGROUP": 1, "XREAD": 1}
        client.set("queue", "no list")
        with pytest.raises(library.ResponseError):
            client.blpop(["queue"], timeout=1)
        assert errors(registry) == {"ResponseError": 1}
        assert "BLPOP" not in timed(registry)

    def test_publishing_is_counted_and_listening_is_not(self, client: library.Redis, registry: CollectorRegistry) -> None:
        with client.pubsub() as listener:
            listener.subscribe("news")
            assert wait_until(lambda: listener.get_message(timeout=1), 30)["type"] == "subscribe"
            assert client.publish("news", "hello") == 1
            assert wait_until(lambda: listener.get_message(timeout=1), 30)["data"] == b"hello"
        assert timed(registry) == {"PUBLISH": 1}

    def test_threads_lose_nothing(self, client: library.Redis, registry: CollectorRegistry) -> None:
        def work() -> None:
            for _ in range(200):
                client.incr("number")
                with client.pipeline() as pipeline:
                    pipeline.incr("number").execute()

        run_threads(*[work] * 4)
        assert int(client.get("number")) == 1600
        assert timed(registry) == {"INCRBY": 800, "MULTI": 800, "GET": 1}


@pytest.mark.usefixtures("everything")
class TestPipelines:
    def test_one_is_one_round_trip(self, client: library.Redis, registry: CollectorRegistry) -> None:
        with client.pipeline(transaction=False) as pipeline:
            assert pipeline.set("a", 1).get("a").incr("a").execute() == [True, b"1", 2]
        assert timed(registry) == {"PIPELINE": 1}

    def test_a_transaction_is_one_too(self, client: library.Redis, registry: CollectorRegistry) -> None:
        with client.pipeline() as pipeline:
            assert pipeline.set("a", 1).get("a").execute() == [True, b"1"]
        assert timed(registry) == {"MULTI": 1}

    def test_one_with_nothing_to_do_is_none(self, client: library.Redis, registry: CollectorRegistry) -> None:
        with client.pipeline() as pipeline:
            assert pipeline.execute() == []
        assert timed(registry) == {}

    def test_what_is_read_while_watching_goes_by_itself(self, client: library.Redis, registry: CollectorRegistry) -> None:
        def add(pipeline: Any) -> None:
            value = int(pipeline.get("a") or 0)
            pipeline.multi()
            pipeline.set("a", value + 1)

        client.transaction(add, "a")
        assert timed(registry) == {"WATCH": 1, "GET": 1, "MULTI": 1}

    def test_a_change_meanwhile_is_an_error(self, client: library.Redis, registry: CollectorRegistry) -> None:
        with client.pipeline() as pipeline:
            pipeline.watch("a")
            client.set("a", 1)
            pipeline.multi()
            pipeline.set("a", 2)
            with pytest.raises(library.WatchError):
                pipeline.execute()
        assert timed(registry) == {"WATCH": 1, "SET": 1, "MULTI": 1}
        assert errors(registry) == {"WatchError": 1}

    @pytest.mark.parametrize("transaction", [True, False])
    def test_failures_in_it_are_counted_raised_or_not(self, client: library.Redis, registry: CollectorRegistry, transaction: bool) -> None:
        client.set("text", "hello")
        with client.pipeline(transaction=transaction) as pipeline:
            responses = pipeline.incr("text").get("text").hget("text", "x").execute(raise_on_error=False)
        assert [isinstance(one, library.ResponseError) for one in responses] == [True, False, True]
        assert errors(registry) == {"ResponseError": 2}
        with client.pipeline(transaction=transaction) as pipeline, pytest.raises(library.ResponseError):
            pipeline.incr("text").hget("text", "x").execute()
        assert errors(registry) == {"ResponseError": 3}

    def test_a_script_that_cannot_be_loaded_for_it_fails_once(self, client: library.Redis, registry: CollectorRegistry) -> None:
        broken = client.register_script("this is no Lua")
        with client.pipeline() as pipeline:
            broken(client=pipeline)
            with pytest.raises(library.ResponseError):
                pipeline.execute()
        assert errors(registry) == {"ResponseError": 1}


class TestInstrumenting:
    def test_all_is_as_before_when_it_is_taken_back(self, client: library.Redis, registry: CollectorRegistry) -> None:
        before = functions()
        handle = integration.instrument(registry=registry)
        assert all(now is not then for now, then in zip(functions(), before, strict=True))
        client.ping()
        handle.uninstrument()
        assert functions() == before
        client.ping()
        assert timed(registry) == {"PING": 1}
        assert recorded(registry, "redis_pool_connections") == {}

    def test_twice_is_once(self, client: library.Redis, registry: CollectorRegistry) -> None:
        with integration.instrument(registry=registry) as handle:
            assert integration.instrument(registry=registry) is handle
            assert handle.about == f"redis {library.__version__}, every client"
            client.ping()
        assert timed(registry) == {"PING": 1}

    def test_one_client_is_that_client_and_its_pipelines(self, client: library.Redis, server: Redis, registry: CollectorRegistry) -> None:
        before = functions()
        with integration.instrument(client, registry=registry) as handle, library.Redis(port=server.port) as other:
            assert handle.about.endswith("one client")
            for each in (client, other):
                each.ping()
                each.pipeline().ping().execute()
            assert integration.instrument(client.connection_pool, registry=registry) is handle
        assert timed(registry) == {"PING": 1, "MULTI": 1}
        assert functions() == before

    def test_one_client_and_all_of_them_is_once(self, client: library.Redis, server: Redis, registry: CollectorRegistry) -> None:
        before, own = functions(), CollectorRegistry()
        one = integration.instrument(client, metrics=RedisMetrics(own))
        everyone = integration.instrument(registry=registry)
        client.ping()
        with library.Redis(port=server.port) as other:
            other.get("a")
        one.uninstrument()
        client.echo("now it is one of all")
        everyone.uninstrument()
        client.ping()
        assert (timed(own), timed(registry)) == ({"PING": 1}, {"GET": 1, "ECHO": 1})
        assert functions() == before

    def test_a_client_of_before_and_one_of_a_subclass_count(
        self, server: Redis, client: library.Redis, registry: CollectorRegistry
    ) -> None:
        class Own(library.Redis):
            def execute_command(self, *args: Any, **options: Any) -> Any:
                return super().execute_command(*args, **options)

        with integration.instrument(registry=registry), Own(port=server.port) as own:
            client.ping()
            own.ping()
        assert timed(registry) == {"PING": 2}

    def test_it_can_be_taken_back_and_begun_again_under_traffic(self, client: library.Redis, registry: CollectorRegistry) -> None:
        before = functions()

        def begin_and_end() -> None:
            integration.instrument(registry=registry).uninstrument()

        with in_background(begin_and_end, begin_and_end):
            for number in range(300):
                assert client.incr("number") == number + 1
        assert functions() == before
        assert timed(registry).get("INCRBY", 0) <= 300
        assert errors(registry) == {}

    def test_somebody_elses_replacement_on_top_stays(
        self, client: library.Redis, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handle = integration.instrument(registry=registry)
        ours, seen = library.Redis.execute_command, []

        def theirs(self: Any, *args: Any, **options: Any) -> Any:
            seen.append(args[0])
            return ours(self, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(library.Redis, "execute_command", theirs)
            handle.uninstrument()
            client.ping()
            with integration.instrument(registry=registry):
                client.get("a")
        assert seen == ["PING", "GET"]
        assert timed(registry) == {"GET": 1}
        integration.instrument(registry=registry).uninstrument()

    def test_a_failure_of_ours_is_logged_once_and_the_command_goes_on(
        self, client: library.Redis, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(RedisMetrics):
            def observe(self, command: object, duration: float) -> None:
                raise ZeroDivisionError

            def watch(self, monitor: Any) -> None:
                raise ZeroDivisionError

        with integration.instrument(metrics=Broken(registry)), caplog.at_level(logging.WARNING, "measurand.integrations"):
            assert client.ping()
            assert client.ping()
        assert len([record for record in caplog.records if "could not be recorded" in record.message]) == 1

    def test_an_older_version_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("measurand.integrations.handle.version_of", lambda package: "5.1.9")
        with pytest.raises(MissingExtra, match=rf"redis 5\.1\.9 is installed, and {integration.FLOOR} or newer is needed"):
            integration.instrument()
