"""The demo as a person runs it, with workers of their own: it says what to open, what it says is true, and nothing is left of it."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.examples.governance.running import parsed
from tests.examples.inventory.running import Command, fetch
from tests.servers.redis import Redis

pytestmark = pytest.mark.once


def test_it_shows_a_bot_and_a_worker_under_traffic_and_ctrl_c_ends_it(tmp_path: Path, redis: Redis):
    options = ("--redis-url", redis.url, "--rate", "50", "--no-prometheus")
    with Command("examples.channelbot.demo", *options, folder=tmp_path) as command:
        command.said("Ctrl-C stops everything")
        assert "by a worker of their own, through Redis" in command.out
        assert '"telegram":' in fetch(re.findall(r"why it is ready +(\S+)", command.out)[0])[1]
        front, worker = re.findall(r"metrics +(\S+)", command.out)
        command.said(r"(?s)After [\d,]+ things said.*http_requests_failed_total +[\d,.]+\n")
        assert float(re.findall(r"business_channels +(\d+)", command.out)[0]) == 3

        def value(url: str, name: str, **labels: str) -> float:
            family = parsed(fetch(url)[1]).get(name)
            return sum(value for _, own, value in family.values if labels.items() <= own.items()) if family else 0

        sent = {"task": "posts.send", "queue": "posts"}
        command.comes_to(lambda: value(worker, "celery_tasks_total", **sent, state="SUCCESS") > 0, "sending a post")
        assert value(worker, "business_posts_sent_total") > 0
        assert value(worker, "telegram_api_requests_total", api_method="sendMessage") > 0
        assert value(front, "celery_tasks_published_total", **sent) > 0
        assert value(front, "business_posts_sent_total") == 0
        assert "business_channels" not in parsed(fetch(worker)[1])
        assert value(front, "redis_command_duration_seconds") > 0
        assert command.interrupt(signal.SIGINT) < 60
        assert command.err == ""
        assert "everything is cleaned up" in command.out
    assert list(command.temporary.iterdir()) == []
    for url in (front, worker):
        with pytest.raises(URLError):
            fetch(url)
