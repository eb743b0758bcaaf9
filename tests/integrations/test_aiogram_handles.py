"""aiogram: everything or one of them, once in any case, and all of it taken back."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest
from aiogram import Bot, Dispatcher, Router
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.types import Message

from examples.channelbot.telegram_stand_in import TelegramStandIn
from measurand import CollectorRegistry
from measurand.catalog.telegram import TelegramMetrics
from measurand.errors import MissingExtra
from measurand.integrations import aiogram as aiogram_integration
from measurand.integrations.aiogram import instrument
from tests.integrations.telegram_kit import bot_of, counted, feed, make_bot, message, run
from tests.metrics.kit import in_forked_child

pytestmark = pytest.mark.once


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture(scope="module")
def telegram() -> Iterator[TelegramStandIn]:
    with TelegramStandIn() as telegram:
        yield telegram


async def answer(message: Message) -> str:
    return "answered"


def make_dispatcher() -> Dispatcher:
    dispatcher, router = Dispatcher(), Router()
    dispatcher.include_router(router)
    router.message.register(answer)
    return dispatcher


def middlewares(dispatcher: Dispatcher) -> dict[str, list[Any]]:
    """All middlewares of a dispatcher's observers, in order."""
    return {
        f"{name} {kind}": list(getattr(observer, kind))
        for name, observer in dispatcher.observers.items()
        for kind in ("middleware", "outer_middleware")
    }


def entries() -> list[Any]:
    return [vars(Dispatcher)["feed_update"], vars(BaseSession)["__call__"]]


def updates(registry: CollectorRegistry) -> float:
    return counted(registry, "telegram_updates_total").get("message handled", 0)


def requests(registry: CollectorRegistry) -> float:
    return counted(registry, "telegram_api_requests_total").get("getMe ok", 0)


def test_what_is_taken_back_is_as_it_was(registry: CollectorRegistry, telegram: TelegramStandIn) -> None:
    async def around(handler: Any, event: Any, data: Any) -> Any:
        return await handler(event, data)

    async def body() -> None:
        dispatcher = make_dispatcher()
        dispatcher.message.middleware(around)
        dispatcher.update.outer_middleware(around)
        async with bot_of(telegram) as bot:
            before, own = middlewares(dispatcher), dict(vars(bot.session))
            handle = instrument(dispatcher, bot, registry=registry)
            assert middlewares(dispatcher) != before
            assert vars(bot.session) != own
            handle.uninstrument()
            handle.uninstrument()
            assert middlewares(dispatcher) == before
            assert vars(bot.session) == own
            await feed(dispatcher, message())
            await bot.get_me()

    run(body())
    assert (updates(registry), requests(registry)) == (0, 0)


def test_twice_is_once(registry: CollectorRegistry, telegram: TelegramStandIn) -> None:
    async def body() -> None:
        dispatcher = make_dispatcher()
        async with bot_of(telegram) as bot:
            handles = [instrument(dispatcher, registry=registry) for _ in range(2)]
            assert handles[0] is handles[1]
            both = [instrument(dispatcher, bot, registry=registry) for _ in range(2)]
            await feed(dispatcher, message())
            await bot.get_me()
            for handle in (*both, *handles):
                handle.uninstrument()
            await feed(dispatcher, message())
            await bot.get_me()

    run(body())
    assert (updates(registry), requests(registry)) == (1, 1)


def test_everything_is_what_there_is_and_what_is_made_later(registry: CollectorRegistry, telegram: TelegramStandIn) -> None:
    async def body() -> None:
        there = make_dispatcher()
        async with bot_of(telegram) as old:
            with instrument(registry=registry) as handle:
                assert instrument() is handle
                assert handle.about.startswith("aiogram 3.")
                assert handle.about.endswith(", every dispatcher and bot")
                later = make_dispatcher()
                await feed(there, message(), message(2))
                await feed(later, message(3))
                await old.get_me()
                async with bot_of(telegram) as new:
                    await new.get_me()

    run(body())
    assert (updates(registry), requests(registry)) == (3, 2)
    assert sum(counted(registry, "telegram_handler_duration_seconds_count").values()) == 3


def test_everything_is_taken_back_as_it_was(registry: CollectorRegistry, telegram: TelegramStandIn) -> None:
    async def body() -> None:
        before = entries()
        dispatcher = make_dispatcher()
        as_made = middlewares(dispatcher)
        async with bot_of(telegram) as bot:
            with instrument(registry=registry):
                assert all(now is not then for now, then in zip(entries(), before, strict=True))
                await feed(dispatcher, message())
                await bot.get_me()
                assert middlewares(dispatcher) != as_made
            assert all(now is then for now, then in zip(entries(), before, strict=True))
            assert middlewares(dispatcher) == as_made
            assert "make_request" not in vars(bot.session)
            await feed(dispatcher, message())
            await bot.get_me()

    run(body())
    assert (updates(registry), requests(registry)) == (1, 1)


@pytest.mark.parametrize("first", ["everything", "one"])
def test_as_a_whole_and_by_itself_is_once_and_by_itself_prevails(
    registry: CollectorRegistry, telegram: TelegramStandIn, first: str
) -> None:
    own = CollectorRegistry()

    async def body() -> None:
        dispatcher = make_dispatcher()
        async with bot_of(telegram) as bot:

            async def use() -> None:
                await feed(dispatcher, message())
                await bot.get_me()

            if first == "everything":
                whole = instrument(registry=registry)
                await use()
                one = instrument(dispatcher, bot, registry=own)
            else:
                one = instrument(dispatcher, bot, registry=own)
                whole = instrument(registry=registry)
                await feed(make_dispatcher(), message())
                await use()
            await use()
            one.uninstrument()
            await use()  # everything still is
            whole.uninstrument()
            await use()

    run(body())
    assert (updates(own), requests(own)) == ((1, 1) if first == "everything" else (2, 2))
    assert (updates(registry), requests(registry)) == ((2, 2) if first == "everything" else (2, 1))


def test_one_by_itself_outlives_everything(registry: CollectorRegistry) -> None:
    async def body() -> None:
        dispatcher = make_dispatcher()
        whole = instrument()
        with instrument(dispatcher, registry=registry):
            whole.uninstrument()
            await feed(dispatcher, message())

    run(body())
    assert updates(registry) == 1


def test_what_somebody_else_has_put_in_front_stays(registry: CollectorRegistry, telegram: TelegramStandIn) -> None:
    seen = []

    async def body() -> None:
        async with bot_of(telegram) as bot:
            handle = instrument(bot, registry=registry)
            ours = bot.session.make_request

            async def theirs(*arguments: Any, **options: Any) -> Any:
                seen.append(arguments)
                return await ours(*arguments, **options)

            bot.session.make_request = theirs  # type: ignore[method-assign]
            await bot.get_me()
            handle.uninstrument()
            await bot.get_me()
            with instrument(bot, registry=registry):
                await bot.get_me()
            assert bot.session.make_request is theirs

    run(body())
    assert len(seen) == 3
    assert requests(registry) == 2


def test_another_metric_set_is_warned_of(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    dispatcher, metrics = make_dispatcher(), TelegramMetrics(registry)
    with caplog.at_level(logging.WARNING, "measurand"), instrument(dispatcher, metrics=metrics) as handle:
        assert handle.metrics is metrics
        instrument(dispatcher, metrics=TelegramMetrics(registry))
    assert ["instrumented already, with another metric set" in text for text in caplog.messages] == [True]


def test_nothing_is_kept_alive(registry: CollectorRegistry, telegram: TelegramStandIn) -> None:
    async def body() -> list[Any]:
        gone = []
        with instrument(registry=registry):
            for by_itself in (True, False):
                dispatcher = make_dispatcher()
                async with bot_of(telegram) as bot:
                    if by_itself:
                        instrument(dispatcher, bot, registry=registry)
                    await feed(dispatcher, message())
                    await bot.get_me()
                gone += [ref(dispatcher), ref(bot.session)]
            del dispatcher, bot
        return gone

    gone = run(body())
    gc.collect()
    assert [one() for one in gone] == [None] * 4


@pytest.mark.parametrize("target", [Router(), object(), None])
def test_other_things_are_refused(target: Any) -> None:
    with pytest.raises(TypeError, match="neither a dispatcher of aiogram nor a bot"):
        instrument(target)


def test_a_refused_target_leaves_the_others_alone(registry: CollectorRegistry) -> None:
    dispatcher = make_dispatcher()
    before = middlewares(dispatcher)
    with pytest.raises(TypeError):
        instrument(dispatcher, 5, registry=registry)
    assert middlewares(dispatcher) == before


def test_a_version_that_is_too_old_is_named_with_the_one_that_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiogram_integration, "FLOOR", "1000.1")
    with pytest.raises(MissingExtra, match=r"1000\.1 or newer is needed; run: pip install --upgrade 'measurand\[aiogram\]'"):
        instrument()


def test_without_aiogram_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiogram", None)
    with pytest.raises(MissingExtra, match=r"aiogram is not installed; run: pip install 'measurand\[aiogram\]'"):
        instrument()


def test_a_session_without_a_bot_will_do(registry: CollectorRegistry) -> None:
    async def body() -> None:
        session = AiohttpSession()
        with instrument(session, registry=registry) as handle:
            assert handle.about.endswith("the session of a bot")

    run(body())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_goes_on_by_itself(registry: CollectorRegistry) -> None:
    def in_child() -> None:
        before = updates(registry)
        run(feed(dispatcher, message()))
        run(feed(make_dispatcher(), message()))
        assert updates(registry) == before + 2
        whole.uninstrument()
        run(feed(dispatcher, message()))
        assert updates(registry) == before + 2
        with instrument(dispatcher, registry=registry):
            run(feed(dispatcher, message()))
        assert updates(registry) == before + 3

    dispatcher = make_dispatcher()
    with instrument(registry=registry) as whole:
        run(feed(dispatcher, message()))
        in_forked_child(in_child, timeout=60)
        assert whole.is_active


def test_bots_that_are_made_while_everything_is_instrumented_are_found(telegram: TelegramStandIn, registry: CollectorRegistry) -> None:
    async def body() -> None:
        bots = [make_bot(telegram) for _ in range(3)]
        with instrument(registry=registry):
            for bot in bots:
                assert isinstance(bot, Bot)
                await bot.get_me()
                await bot.get_me()
                await bot.session.close()

    run(body())
    assert requests(registry) == 6
