"""Who counts readers: asked over real HTTP."""

from __future__ import annotations

from contextlib import closing

import pytest

from examples.channelbot.errors import UnreachableError
from examples.channelbot.views import HttpAudience
from examples.channelbot.views_stand_in import ViewsStandIn
from examples.inventory.standins.server import Answer

pytestmark = pytest.mark.once


def test_views_are_asked_for_by_message():
    with ViewsStandIn(gain=5) as standin, closing(HttpAudience(standin.url)) as audience:
        assert audience.views(-1001, [1, 2]) == {1: 5, 2: 5}
        assert audience.views(-1001, [2]) == {2: 10}


def test_without_an_address_nothing_is_known():
    with closing(HttpAudience(None)) as audience:
        assert audience.views(-1001, [1, 2]) == {}


@pytest.mark.parametrize("answer", [Answer(500), Answer(200, ["no", "object"]), Answer(200, {"a": "b"}), Answer(200)])
def test_nonsense_is_somebody_elses_bad_day(answer: Answer):
    with ViewsStandIn() as standin, closing(HttpAudience(standin.url)) as audience:
        standin.answer = lambda _: answer  # type: ignore[method-assign]
        with pytest.raises(UnreachableError):
            audience.views(-1001, [1])


def test_nobody_there_is_so_too():
    with ViewsStandIn() as standin:
        url = standin.url
    with closing(HttpAudience(url)) as audience, pytest.raises(UnreachableError):
        audience.views(-1001, [1])
