"""The service as a process: table C against a real scrape, and the numbers after traffic that is known in every detail."""

from __future__ import annotations

import http.client
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from examples.channelbot.child import Child, running
from examples.channelbot.telegram_stand_in import TelegramStandIn
from examples.channelbot.views_stand_in import ViewsStandIn
from tests.examples.channelbot.table import IN_PASSING, TABLE, Row
from tests.examples.governance.running import Metric, parsed
from tests.servers.process import until

pytestmark = pytest.mark.once

PATIENCE = 120
NEWS = -1001
ENDINGS = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count")}
STANDS_STILL = {"db_pool_timeouts_total"}
"""What this traffic does not bring about."""


class Service:
    """The process, and who it talks to."""

    def __init__(self, child: Child, telegram: TelegramStandIn, views: ViewsStandIn, database: Path) -> None:
        self.child = child
        self.telegram = telegram
        self.audience = views
        self._database = database

    def ask(self, method: str, path: str, **body: Any) -> tuple[int, str]:
        where = urlsplit(self.child.url)
        with closing(http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)) as connection:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def page(self) -> str:
        status, text = self.ask("GET", "/v1/metrics")
        assert status == 200
        return text

    def value(self, name: str, **labels: str) -> float:
        """The sum over all series that match."""
        return total(parsed(self.page()), name, **labels)

    def comes_to(self, wanted: float, name: str, **labels: str) -> None:
        def reached() -> bool:
            self.child.check()
            return self.value(name, **labels) == wanted

        until(reached, lambda: f"{name}{labels} is {self.value(name, **labels)}, not {wanted}", PATIENCE)

    def truth(self, query: str) -> Any:
        with closing(sqlite3.connect(self._database)) as connection:
            return connection.execute(query).fetchone()[0]

    def answers(self, text: str, count: int) -> None:
        """Wait until the bot has said something so often."""
        until(lambda: self.said(text) >= count, lambda: f"{self.telegram.sent}\n{self.child.log.read_text()[-3000:]}", PATIENCE)

    def said(self, text: str) -> int:
        return sum(text in message["text"] for message in self.telegram.sent)

    def plans(self, text: str) -> int:
        status, answer = self.ask("POST", "/api/channels/1/posts", text=text)
        assert status == 201, answer
        return int(json.loads(answer)["id"])

    def state(self, post: int) -> str:
        return str(json.loads(self.ask("GET", f"/api/posts/{post}")[1])["state"])

    def has_become(self, post: int, state: str) -> None:
        until(lambda: self.state(post) == state, lambda: f"it is {self.state(post)}\n{self.child.log.read_text()[-3000:]}", PATIENCE)


def total(families: dict[str, Metric], name: str, **labels: str) -> float:
    values = [value for family in families.values() for value in family.values if value[0] == name]
    return sum(value for _, own, value in values if labels.items() <= own.items())


class Stage(NamedTuple):
    """The service when everything was done, and a scrape of that moment."""

    service: Service
    families: dict[str, Metric]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("channelbot")
    database = folder / "channelbot.db"
    options = {"database-url": f"sqlite:///{database}", "state-directory": folder / "state", "interval": 0.2, "drain-delay": 0}
    with TelegramStandIn() as telegram, ViewsStandIn(gain=100) as views:
        telegram.add_chat(NEWS, "News", members=420, username="news")
        environment = {"BOT_TOKEN": telegram.token, "TELEGRAM_API": telegram.url, "VIEWS_URL": views.url}
        with running(folder, options | {"health-interval": 0.5}, environment) as child:
            service = Service(child, telegram, views, database)
            live(service)
            yield Stage(service, parsed(service.page()))
            telegram.delay = 1
            late = service.plans("At the last moment")
            service.has_become(late, "sending")
        log = child.log.read_text()
        assert (child.process.returncode, "lost: nothing" in log) == (0, True), log[-3000:]
        assert service.truth(f"SELECT state FROM posts WHERE id = {late}") == "sent"  # what was begun is finished before the end


def live(service: Service) -> None:
    """People, programs, Telegram's moods: everything that the tests look for has happened afterwards, and nothing happens any more."""
    telegram = service.telegram
    for person in (11, 12, 11):
        telegram.message("/start", chat=person)
    telegram.message("/add @news", chat=11)
    service.answers("has the number 1 here", 1)
    for number, planned in enumerate(("0 By bot", "600 Later", "600 Never"), 1):
        telegram.message(f"/post 1 {planned}", chat=12)
        service.answers(f"Planned as {number}", 1)  # updates that come together are dealt with in any order
    telegram.message("/post tomorrow", chat=12)
    telegram.message("good morning", chat=12)
    telegram.press("cancel:3", chat=12)
    telegram.message("/stats", chat=11)
    for text, times in (("Welcome", 2), ("Hello again", 1), ("not how it is written", 1), ("scheduled_posts", 1)):
        service.answers(text, times)
    service.has_become(1, "sent")
    service.has_become(service.plans("By API"), "sent")
    telegram.fail("sendMessage", status=429, retry_after=1)
    service.has_become(service.plans("After a pause"), "sent")
    telegram.fail("sendMessage", status=403)
    service.has_become(service.plans("To nobody"), "failed")
    assert service.ask("GET", "/api/posts/999")[0] == 404
    assert service.ask("DELETE", "/api/posts/1")[0] == 409
    assert service.ask("POST", "/api/channels/1/posts", text="")[0] == 422
    assert service.ask("POST", "/api/views")[0] == 202
    until(lambda: service.truth("SELECT sum(views) FROM posts") >= 300, lambda: "nobody reads", PATIENCE)
    service.audience.gain = 0
    service.audience.is_away = True
    until(lambda: service.value("celery_tasks_failed_total") > 0, lambda: "no task has failed", PATIENCE)
    service.audience.is_away = False
    service.comes_to(1, "business_scheduled_posts")
    service.comes_to(0, "celery_tasks_in_progress", queue="posts")
    until(lambda: service.value("system_cpu_percent") > 0, lambda: "the machine is idle", PATIENCE)
    until(lambda: service.value("celery_workers") == 2, lambda: "nobody takes tasks", PATIENCE)
    until(lambda: service.value("health_check_status") == 4, lambda: service.ask("GET", "/v1/ready")[1], PATIENCE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_metric_of_the_table_is_there_with_its_type_its_labels_and_a_value(stage: Stage, row: Row):
    assert_published(stage.families, row)


def assert_published(families: dict[str, Metric], row: Row) -> None:
    metric = families[row.name]
    assert metric.type == row.kind
    assert metric.labels == set(row.labels.split())
    for ending in ENDINGS[row.kind]:
        assert any(name == row.name + ending for name, _, _ in metric.values), f"{row.name}{ending} has no series"
    if row.kind != "gauge" and row.name not in STANDS_STILL:
        assert total(families, row.name + ("_count" if row.kind == "histogram" else "")) > 0


def test_no_metric_of_these_sets_is_missing_from_the_table(stage: Stage):
    ours = ("http_", "telegram_", "db_", "celery_", "business_", "system_", "health_")
    assert {name for name in stage.families if name.startswith(ours)} - {row.name for row in TABLE} - IN_PASSING == set()


@pytest.mark.parametrize("change", [{"kind": "summary"}, {"name": "celery_worker_count"}, {"labels": "queue hostname"}])
def test_a_difference_would_be_noticed(stage: Stage, change: dict[str, str]):
    row = next(row for row in TABLE if row.name == "celery_workers")
    with pytest.raises((AssertionError, KeyError)):
        assert_published(stage.families, row._replace(**change))


def test_posts_are_counted_by_what_has_become_of_them(stage: Stage):
    assert total(stage.families, "business_posts_sent_total", status="sent") == 3
    assert total(stage.families, "business_posts_sent_total", status="failed") == 1
    assert stage.service.truth("SELECT count(*) FROM posts WHERE state = 'sent'") == 3
    texts = [message["text"] for message in stage.service.telegram.sent if message["chat"]["id"] == NEWS]
    assert sorted(texts) == ["After a pause", "By API", "By bot"]


def test_gauges_say_what_there_is(stage: Stage):
    names = ("business_channels", "business_users", "business_scheduled_posts")
    assert [total(stage.families, name) for name in names] == [1, 2, 1]


def test_every_view_is_counted(stage: Stage):
    service = stage.service
    until(
        lambda: service.value("business_post_view_updates_total") == service.truth("SELECT sum(views) FROM posts"),
        lambda: "the counter is not what the database says",
        PATIENCE,
    )


def test_updates_are_counted_once(stage: Stage):
    count = {
        labels: total(stage.families, "telegram_updates_total", update_type=labels[0], outcome=labels[1])
        for labels in (("message", "handled"), ("message", "unhandled"), ("callback_query", "handled"))
    }
    assert count == {("message", "handled"): 9, ("message", "unhandled"): 1, ("callback_query", "handled"): 1}
    assert total(stage.families, "telegram_handler_duration_seconds_count") == 10


def test_calls_to_telegram_are_those_that_it_has_seen(stage: Stage):
    seen = stage.service.telegram.counted()
    for method in ("sendMessage", "getChat", "getChatMemberCount", "answerCallbackQuery"):
        assert total(stage.families, "telegram_api_requests_total", api_method=method) == sum(seen[method].values())
        assert total(stage.families, "telegram_api_requests_total", api_method=method, status="ok") == seen[method][200]
    assert total(stage.families, "telegram_flood_waits_total") == 1
    assert total(stage.families, "telegram_retry_after_seconds_sum") == 1


def test_tasks_are_counted_by_how_they_ended_and_where(stage: Stage):
    def tasks(state: str) -> float:
        return total(stage.families, "celery_tasks_total", task="posts.send", queue="posts", state=state)

    assert (tasks("SUCCESS"), tasks("RETRY")) == (4, 1)
    assert total(stage.families, "celery_tasks_published_total", task="posts.send", queue="posts") == 5
    assert total(stage.families, "celery_workers", queue="posts") == total(stage.families, "celery_workers", queue="views") == 1


def test_a_task_that_fails_says_why(stage: Stage):
    failed = total(stage.families, "celery_tasks_failed_total", task="posts.refresh_views", error_type="UnreachableError")
    assert failed == total(stage.families, "celery_tasks_failed_total") > 0
    assert failed == total(stage.families, "celery_tasks_total", task="posts.refresh_views", state="FAILURE")


def test_requests_are_counted_by_template(stage: Stage):
    def requests(method: str, endpoint: str, status: str) -> float:
        return total(stage.families, "http_requests_total", method=method, endpoint=endpoint, status=status)

    assert requests("POST", "/api/channels/{channel_id}/posts", "201") == 3
    assert requests("GET", "/api/posts/{post_id}", "404") == 1
    failed = {"404": "not_found", "409": "client_error", "422": "client_error"}
    for status, kind in failed.items():
        assert total(stage.families, "http_requests_failed_total", status=status, error_type=kind) == 1


def test_the_database_has_a_pool_and_its_statements_are_counted(stage: Stage):
    assert total(stage.families, "db_queries_total", operation="insert", status="success") > 0
    assert {labels["pool"] for _, labels, _ in stage.families["db_pool_size"].values} == {"channelbot"}


def test_it_says_what_it_is_and_is_ready(stage: Stage):
    (_, labels, value), *_ = stage.families["app_info"].values
    assert (labels["service"], labels["environment"], value) == ("channelbot", "development", 1)
    checks = {labels["check"] for _, labels, _ in stage.families["health_check_status"].values}
    assert checks == {"broker", "database", "telegram", "worker"}


def test_telegram_being_away_is_a_warning(stage: Stage):
    service = stage.service
    service.telegram.fail("getMe", status=500, times=None)
    try:
        service.comes_to(0, "health_check_status", check="telegram")
        assert service.ask("GET", "/v1/ready")[0] == 200
    finally:
        service.telegram.heal()
    service.comes_to(1, "health_check_status", check="telegram")
