"""The demo: the service under traffic, with stand-ins for Telegram and for who counts readers, and a Prometheus beside it when there is
one; and what to open.

``python -m examples.channelbot.demo`` runs until Ctrl-C. Everything it makes is private to it (loopback, free ports, a temporary
directory) and gone within seconds of the end.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..inventory import prometheus
from ..inventory.signals import stop_on_signals
from .child import Child, Ended, running
from .settings import ALL, FRONT, WORKER
from .telegram_stand_in import TelegramStandIn
from .traffic import Traffic, UnreachableError
from .views_stand_in import ViewsStandIn

METRICS_PATH = "v1/metrics"
SECONDS_TO_START = 120
SECONDS_OF_TRAFFIC = 5  # before the numbers are shown
WORTH_SHOWING = (
    "business_channels",
    "business_users",
    "business_scheduled_posts",
    'business_posts_sent_total{status="sent"}',
    'business_posts_sent_total{status="failed"}',
    "business_post_view_updates_total",
    "http_requests_total",
    "http_requests_failed_total",
)
WORTH_ASKING = "sum by (status) (rate(business_posts_sent_total[30s]))"

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is never reached through a proxy


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.channelbot.demo", description="Show the channel bot under traffic.")
    parser.add_argument("--port", type=int, default=0, help="port of the API (default: a free one)")
    parser.add_argument("--rate", type=float, default=20, help="doings a second (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="chooses the traffic (default: %(default)s)")
    parser.add_argument("--redis-url", default=os.environ.get("REDIS_URL"), help="a broker, for workers of their own (default: $REDIS_URL)")
    parser.add_argument("--duration", type=float, default=math.inf, metavar="SECONDS", help="end after so much traffic (default: Ctrl-C)")
    parser.add_argument("--no-prometheus", action="store_true", help="do not start a Prometheus even if there is one")
    chosen = parser.parse_args(arguments)
    if not chosen.rate > 0:
        parser.error("the rate must be above 0 a second")
    stop_on_signals()
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(print, "Stopped; everything is cleaned up.")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="channelbot-demo-")))
            print("Starting a channel bot and its audience …\n", flush=True)
            telegram, views = stack.enter_context(TelegramStandIn()), stack.enter_context(ViewsStandIn())
            let_it_be_telegram(telegram)
            environment = {"BOT_TOKEN": telegram.token, "TELEGRAM_API": telegram.url, "VIEWS_URL": views.url}
            options = {"database-url": f"sqlite:///{folder / 'channelbot.db'}", "state-directory": folder / "state", "environment": "demo"}
            options |= {"interval": 0.5, "health-interval": 1, "drain-delay": 0}
            children = stack.enter_context(_served(folder, options, environment, chosen.port, chosen.redis_url))
            targets = [child.url.removeprefix("http://").rstrip("/") for child in children]
            jobs = [{"job_name": "channelbot", "metrics_path": f"/{METRICS_PATH}", "static_configs": [{"targets": targets}]}]
            server = None if chosen.no_prometheus else stack.enter_context(prometheus.running(jobs, folder / "prometheus"))
            _wait_until_ready(children)
            print(_what_to_open(children, telegram.url, server, may_start_one=not chosen.no_prometheus), flush=True)
            traffic = Traffic(children[0].url, telegram.url, rate=chosen.rate, seed=chosen.seed)
            with _working(traffic):
                _pause(children, min(SECONDS_OF_TRAFFIC, chosen.duration))
                print(_table(children, traffic), flush=True)
                _pause(children, chosen.duration - SECONDS_OF_TRAFFIC)
    except (Ended, OSError) as reason:
        print(reason, file=sys.stderr)
        return 1
    except SystemExit:
        pass  # a signal: everything is cleaned up, and that has been said
    return 0


def let_it_be_telegram(telegram: TelegramStandIn) -> None:
    """Let some calls fail, as Telegram does."""
    telegram.fail("sendMessage", status=429, times=None, every=31, retry_after=1)
    telegram.fail("sendMessage", status=403, times=None, every=47)
    telegram.fail("sendMessage", status=502, times=None, every=61, raw="<html>Bad Gateway</html>")


# --- running --------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _served(
    folder: Path, options: Mapping[str, object], environment: Mapping[str, str], port: int, redis_url: str | None
) -> Iterator[list[Child]]:
    """One process with everything, or two that share a broker."""
    if redis_url is None:
        with running(folder, {**options, "port": port}, environment, ALL) as child:
            yield [child]
        return
    environment = {**environment, "REDIS_URL": redis_url}
    with running(folder, {**options, "port": port}, environment, FRONT) as front, running(folder, options, environment, WORKER) as worker:
        yield [front, worker]


def _wait_until_ready(children: Sequence[Child]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not _is_ready(children[0].url):
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            raise Ended("  it does not get ready")
        time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        with _direct.open(f"{url}v1/ready", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def _pause(children: Sequence[Child], seconds: float) -> None:
    """Let time pass. Raises ``Ended`` when a process is gone meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
        for child in children:
            child.check()


@contextlib.contextmanager
def _working(traffic: Traffic) -> Iterator[None]:
    stop = threading.Event()

    def work() -> None:
        try:
            traffic.run(stop=stop)
        except (UnreachableError, OSError) as reason:
            if not stop.is_set():
                print(f"The traffic has stopped: {reason}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2)


# --- telling --------------------------------------------------------------------------------------------------------------------


def _what_to_open(children: Sequence[Child], telegram: str, server: prometheus.Prometheus | None, *, may_start_one: bool) -> str:
    lines = [
        f"It works, and tasks are done {'by a worker of their own, through Redis' if children[1:] else 'in the same process'}. Open:",
        "",
        f"  the API             {children[0].url}docs",
        f"  why it is ready     {children[0].url}v1/ready",
        f"  what was sent       {telegram}/stand-in",
        *(f"  metrics             {child.url}{METRICS_PATH}" for child in children),
    ]
    if server is not None and server.wait_until_ready(threading.Event()):
        lines += [f"  Prometheus          {server.url}", f"  as a graph          {server.graph(WORTH_ASKING)}"]
    elif server is not None:
        lines += ["  Prometheus          was started but does not answer"]
    elif may_start_one:
        lines += [f"  Prometheus          is not installed; to see graphs here: {prometheus.HOW_TO_GET_IT}"]
    return "\n".join([*lines, "", "Ctrl-C stops everything.", ""])


def _table(children: Sequence[Child], traffic: Traffic) -> str:
    numbers = [_numbers(f"{child.url}{METRICS_PATH}") for child in children]
    rows = [f"  {series:<50}  {sum(_sum(page, series) for page in numbers):>10,.4g}" for series in WORTH_SHOWING]
    said = f"After {traffic.said:,} things said and {traffic.answers.total():,} requests:"
    return "\n".join([said, "", *rows, ""])


def _sum(numbers: Mapping[str, float], wanted: str) -> float:
    """Over all series of that name which have those labels."""
    name, _, labels = wanted.rstrip("}").partition("{")
    return sum(value for series, value in numbers.items() if series.partition("{")[0] == name and labels in series)


def _numbers(url: str) -> dict[str, float]:
    """The samples of one scrape; empty when the service does not answer."""
    try:
        with _direct.open(url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


if __name__ == "__main__":
    sys.exit(main())
