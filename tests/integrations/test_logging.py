"""Events of real loggers, however logging is configured."""

from __future__ import annotations

import io
import logging
import logging.config
import logging.handlers
import os
import queue
from collections.abc import Iterator

import pytest

from measurand import CollectorRegistry
from measurand.catalog.logs import LogMetrics
from measurand.integrations.logging import instrument
from tests.support import run_python, run_threads

pytestmark = pytest.mark.once


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.shop")
    logger.propagate, logger.handlers = False, [logging.NullHandler()]
    logger.setLevel(logging.INFO)
    yield logger
    logger.propagate, logger.handlers, logger.filters = True, [], []
    logger.setLevel(logging.NOTSET)


def value(registry: CollectorRegistry, level: str, name: str = "tests.shop") -> float:
    return registry.get_sample_value("log_events_total", {"level": level, "logger": name}) or 0


def test_each_event_is_counted_once_whatever_becomes_of_it(registry: CollectorRegistry, logger: logging.Logger) -> None:
    with instrument(registry=registry):
        logger.debug("not enabled")
        logger.info("to a handler that drops it")
        logger.handlers = []
        logger.warning("to no handler")
        logger.handlers = [logging.NullHandler(), logging.NullHandler()]
        logger.propagate = True
        logger.error("to several, and up")
        logger.addFilter(lambda record: False)
        logger.error("held back by the logger itself")
        logger.filters = []
        logger.disabled = True
        logger.error("disabled")
        logger.disabled = False
        try:
            raise ValueError
        except ValueError:
            logger.exception("with a traceback")
    assert [value(registry, level) for level in ("debug", "info", "warning", "error")] == [0, 1, 1, 2]


def test_a_later_configuration_changes_nothing(registry: CollectorRegistry, logger: logging.Logger) -> None:
    with instrument(registry=registry):
        logging.config.dictConfig({"version": 1, "incremental": True, "loggers": {"tests.shop": {"level": "DEBUG"}}})
        logger.debug("enabled now")
        logging.getLogger("tests.shop.made.later").error("from below")
    assert value(registry, "debug") == 1
    assert value(registry, "error", "tests.shop.made.later") == 1
    assert value(registry, "error") == 0


def test_what_goes_through_a_queue_is_counted_where_it_was_logged_and_only_there(
    registry: CollectorRegistry, logger: logging.Logger
) -> None:
    written: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    target = logging.StreamHandler(io.StringIO())
    logger.handlers = [logging.handlers.QueueHandler(written)]
    with instrument(registry=registry):
        listener = logging.handlers.QueueListener(written, target)
        listener.start()
        logger.info("there and back")
        listener.stop()
        assert target.stream.getvalue() == "there and back\n"
        assert value(registry, "info") == 1


def test_where_an_event_comes_from_is_told_as_before(registry: CollectorRegistry, logger: logging.Logger) -> None:
    seen: list[logging.LogRecord] = []
    handler = logging.NullHandler()
    handler.handle = lambda record: seen.append(record) or True  # type: ignore[assignment]
    logger.handlers = [handler]
    logger.info("without")
    with instrument(registry=registry):
        logger.info("with", stack_info=True)
    before, after = seen
    assert (after.filename, after.funcName) == (before.filename, before.funcName)
    assert after.lineno == before.lineno + 2
    assert vars(before).keys() == vars(after).keys()
    assert "measurand/integrations" not in str(after.stack_info)


def test_one_logger_alone_is_counted_and_never_twice(registry: CollectorRegistry, logger: logging.Logger) -> None:
    own = CollectorRegistry()
    alone = instrument(logger, registry=own)
    logger.info("alone")
    logging.getLogger("tests.shop.below").error("not this one")
    whole = instrument(registry=registry)
    assert (instrument(logger), instrument()) == (alone, whole)
    logger.info("to its own set")
    logging.getLogger("tests.shop.below").error("to the whole's")
    assert (value(own, "info"), value(registry, "info"), value(registry, "error", "tests.shop.below")) == (2, 0, 1)
    alone.uninstrument()
    logger.info("to the whole's again")
    assert (value(own, "info"), value(registry, "info")) == (2, 1)
    whole.uninstrument()
    logger.info("to none")
    assert (value(own, "info"), value(registry, "info")) == (2, 1)


def test_logging_is_as_it_was_afterwards(registry: CollectorRegistry, logger: logging.Logger) -> None:
    before = logging.Logger.callHandlers
    handles = [instrument(registry=registry), instrument(logger, registry=registry)]
    assert logging.Logger.callHandlers is not before
    for handle in handles:
        handle.uninstrument()
    assert logging.Logger.callHandlers is before


def test_our_own_line_on_the_limit_is_an_event_like_any_other(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    with instrument(metrics=LogMetrics(registry, max_loggers=1)), caplog.at_level(logging.INFO):
        logging.getLogger("tests.first").info("one")
        logging.getLogger("tests.second").info("two")
        logging.getLogger("tests.third").info("three")
    assert value(registry, "warning", "__other__") == 1
    assert value(registry, "info", "__other__") == 2
    assert len([line for line in caplog.messages if "the limit" in line]) == 1


def test_a_failure_of_ours_is_said_once_and_the_event_is_logged(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(LogMetrics):
        def count(self, level: int, logger: str) -> None:
            raise ZeroDivisionError

    with instrument(metrics=Broken(CollectorRegistry())), caplog.at_level(logging.INFO):
        for number in range(3):
            logger.info("event %d", number)
    assert [line for line in caplog.messages if line.startswith("event")] == ["event 0", "event 1", "event 2"]
    assert len([line for line in caplog.messages if "could not be recorded" in line]) <= 1


def test_many_threads_lose_nothing(registry: CollectorRegistry, logger: logging.Logger) -> None:
    with instrument(registry=registry):
        run_threads(*[lambda: [logger.info("event") for _ in range(500)]] * 4)
    assert value(registry, "info") == 2000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_handler_that_logs_and_one_that_fails_do_no_harm() -> None:
    code = """
import logging, os, sys
from measurand import REGISTRY
from measurand.integrations.logging import instrument
instrument()
class Chatty(logging.Handler):
    def emit(self, record):
        if record.name != "inner":
            logging.getLogger("inner").warning("about %s", record.name)
class Failing(logging.Handler):
    def handle(self, record):
        raise KeyError(record.name)
logging.getLogger("outer").addHandler(Chatty())
logging.getLogger("inner").addHandler(logging.NullHandler())
logging.getLogger("failing").addHandler(Failing())
logging.getLogger("outer").error("x")
try:
    logging.getLogger("failing").error("x")
except KeyError as error:
    print(error)
def count(level, name):
    return REGISTRY.get_sample_value("log_events_total", {"level": level, "logger": name})
print(count("error", "outer"), count("warning", "inner"), count("error", "failing"))
sys.stdout.flush()
pid = os.fork()
logging.getLogger("outer").error("x")
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
print(count("warning", "inner"))
"""
    ran = run_python(code)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["'failing'", "1.0 1.0 1.0", "3.0"]
