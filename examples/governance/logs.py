"""Logs as lines of JSON, written by a thread of their own: whoever logs puts a record into a queue and goes on.

Where the output is stuck and the queue is full, records are dropped and counted; no request waits for a log.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from typing import TextIO

from measurand import Counter

DROPPED = Counter("log_records_dropped_total", "Log records that were dropped because the output was stuck")

SECONDS_TO_FLUSH = 2
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """One record, one line: the time, level, logger and message, then what was given in ``extra``.

    Args:
        fields: What every line says besides.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__()
        self._fields = dict(fields)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(), **self._fields}
        line |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_text or record.exc_info:
            line["exception"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        return json.dumps(line, ensure_ascii=False, default=str)


class _Dropping(QueueHandler):
    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            DROPPED.inc()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        if record.exc_info:  # turned into text here, so that no frame is kept alive in the queue
            record.exc_text, record.exc_info = logging.Formatter().formatException(record.exc_info), None
        return record


@contextmanager
def writing(*, output: TextIO | None = None, level: int = logging.INFO, longest: int = 10_000, **fields: str) -> Iterator[None]:
    """All loggers write to ``output`` (standard error) while the block lasts.

    What is queued at its end is still written, within two seconds. At most ``longest`` records wait.
    """
    stream = logging.StreamHandler(output or sys.stderr)
    stream.setFormatter(JsonLines(fields))
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(longest)
    thread = threading.Thread(target=_write, args=(waiting, stream), name="logs", daemon=True)
    handler, root = _Dropping(waiting), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    thread.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        with suppress(queue.Full):
            waiting.put(None, timeout=SECONDS_TO_FLUSH / 2)
            thread.join(SECONDS_TO_FLUSH / 2)


@contextmanager
def writing_here(logger: logging.Logger, *, output: TextIO | None = None, **fields: str) -> Iterator[None]:
    """One logger writes such lines in the thread that logs, while the block lasts: for a process that has no threads."""
    stream = logging.StreamHandler(output or sys.stderr)
    stream.setFormatter(JsonLines(fields))
    logger.addHandler(stream)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(stream)
        logger.propagate = True


def _write(waiting: queue.Queue[logging.LogRecord | None], stream: logging.Handler) -> None:
    while (record := waiting.get()) is not None:
        stream.handle(record)
