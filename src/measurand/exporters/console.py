"""A table of the metrics on the terminal, for development and for programs that nobody scrapes."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Self, TextIO
from urllib.parse import SplitResult

from measurand.encoding.table import encode
from measurand.errors import ConfigurationError
from measurand.exporters.addresses import Options
from measurand.exporters.protocol import Snapshot

__all__ = ["Console"]


class Console:
    """Exports to a stream, as a table for people to read.

    Args:
        stream: Where to write; standard error of the moment if it is ``None``, so that the program's own output stays its own.
        interval: Seconds between two tables.
        name: What this exporter is called.
    """

    def __init__(self, stream: TextIO | None = None, *, interval: float = 60.0, name: str = "console") -> None:
        self.name = name
        self.interval = interval
        self._stream = stream

    def __repr__(self) -> str:
        return "Console()"

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        """``console:``, ``console://stdout`` or ``console://stderr``, with the options ``interval`` and ``name``.

        Raises:
            ConfigurationError: There is no such stream.
        """
        where = url.netloc or url.path
        if where not in {"", "stderr", "stdout"}:
            raise ConfigurationError(f"the console writes to stderr or stdout, as in console://stdout, not to {where!r}")
        return cls(sys.stdout if where == "stdout" else None, **options.schedule())

    def export(self, snapshot: Snapshot) -> None:
        """Write the table, in one piece.

        Raises:
            OSError: The stream takes nothing.
        """
        stream = sys.stderr if self._stream is None else self._stream
        if stream is None:  # a program without a terminal may have none
            return
        moment = datetime.fromtimestamp(snapshot.time, UTC).astimezone()
        stream.write(f"-- metrics at {moment:%Y-%m-%d %H:%M:%S} --\n{encode(snapshot.points())}")
        stream.flush()
