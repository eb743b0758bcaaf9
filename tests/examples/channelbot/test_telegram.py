"""Publishing through the Bot API: what Telegram says, in this application's words."""

from __future__ import annotations

from typing import Any

import pytest

from examples.channelbot.errors import ChannelBotError, RefusedError, UnreachableError
from examples.channelbot.telegram import Telegram
from examples.channelbot.telegram_stand_in import TelegramStandIn

pytestmark = pytest.mark.once

NEWS = -1001


def test_a_text_is_published_and_the_message_s_number_known():
    with TelegramStandIn() as standin:
        standin.add_chat(NEWS)
        telegram = Telegram(standin.token, standin.url)
        numbers = [telegram.publish(NEWS, text) for text in ("one", "two")]
        assert [(message["message_id"], message["text"]) for message in standin.sent] == list(zip(numbers, ("one", "two"), strict=True))


@pytest.mark.parametrize(
    ("failure", "error", "retry_after"),
    [
        ({"status": 429, "retry_after": 7}, UnreachableError, 7),
        ({"status": 403}, RefusedError, None),
        ({"status": 400}, RefusedError, None),
        ({"status": 502, "raw": "<html>Bad Gateway</html>"}, UnreachableError, None),
        ({"status": 0}, UnreachableError, None),
    ],
    ids=lambda value: str(value.get("status")) if isinstance(value, dict) else "",
)
def test_what_goes_wrong_is_told_apart_by_whether_it_may_be_done_later(
    failure: dict[str, Any], error: type[ChannelBotError], retry_after: int | None
):
    with TelegramStandIn() as standin:
        standin.add_chat(NEWS)
        standin.fail("sendMessage", **failure)
        with pytest.raises(error) as raised:
            Telegram(standin.token, standin.url).publish(NEWS, "Hello")
        assert getattr(raised.value, "retry_after", None) == retry_after
