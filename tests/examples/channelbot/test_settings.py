"""What is chosen at the start, and what cannot be."""

from __future__ import annotations

import pytest

from examples.channelbot.settings import ALL, IN_PROCESS, WORKER, read

pytestmark = pytest.mark.once

VARIABLES = ("BOT_TOKEN", "DATABASE_URL", "REDIS_URL", "TELEGRAM_API", "VIEWS_URL", "ENVIRONMENT")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BOT_TOKEN", "1:secret")


def test_everything_is_in_one_process_unless_there_is_a_broker(monkeypatch: pytest.MonkeyPatch):
    alone = read([])
    assert (alone.role, alone.broker_url, alone.has_front, alone.has_worker) == (ALL, IN_PROCESS, True, True)
    monkeypatch.setenv("REDIS_URL", "redis://localhost/0")
    worker = read(["worker"])
    assert (worker.role, worker.broker_url, worker.has_front, worker.has_worker) == (WORKER, "redis://localhost/0", False, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["worker"], "set REDIS_URL"),
        (["front"], "set REDIS_URL"),
        (["--interval", "0"], "must be above 0"),
        (["everything"], "invalid choice"),
    ],
)
def test_what_cannot_be_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        read(arguments)
    assert said in capsys.readouterr().err


def test_a_token_is_asked_for_and_never_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert "secret" not in repr(read([]))
    monkeypatch.delenv("BOT_TOKEN")
    with pytest.raises(SystemExit):
        read([])
    assert "set BOT_TOKEN" in capsys.readouterr().err
