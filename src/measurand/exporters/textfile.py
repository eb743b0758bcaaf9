"""A text file for the node exporter's textfile collector."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Any, Self
from urllib.parse import SplitResult, unquote

from measurand.encoding.escaping import UNDERSCORES
from measurand.encoding.text import encode, generate_latest
from measurand.errors import ConfigurationError
from measurand.exporters.addresses import Options
from measurand.metrics.collecting import Gathering

__all__ = ["Textfile", "write_to_textfile"]


class Textfile:
    """Exports to a file in the text format, replaced in one step; for the node exporter's textfile collector.

    Args:
        path: The file; the collector wants its name to end with ``.prom``.
        interval: Seconds between two exports.
        name: What this exporter is called.
    """

    def __init__(self, path: str | os.PathLike[str], *, interval: float = 15.0, name: str = "textfile") -> None:
        self.name = name
        self.interval = interval
        self._path = os.fspath(path)

    def __repr__(self) -> str:
        return f"Textfile({self._path!r})"

    @classmethod
    def from_url(cls, url: SplitResult, options: Options) -> Self:
        """``textfile:///var/lib/node_exporter/shop.prom``, with the options ``interval`` and ``name``.

        Raises:
            ConfigurationError: The address has no path.
        """
        if url.netloc or not url.path:
            raise ConfigurationError(
                "the address of a text file has three slashes and a path, such as textfile:///var/lib/node_exporter/x.prom"
            )
        return cls(unquote(url.path), **options.schedule())

    def export(self, snapshot: Gathering) -> None:
        """Write the file.

        Raises:
            OSError: It cannot be written; the old one is untouched.
        """
        _replace(self._path, encode(snapshot), None)


def write_to_textfile(
    path: str | os.PathLike[str], registry: Any, escaping: str = UNDERSCORES, tmpdir: str | os.PathLike[str] | None = None
) -> None:
    """Write the metrics of a registry to a file in the text format, replacing it in one step.

    Meant for cron jobs and other programs that are not scraped: the node exporter's textfile collector reads the file, whose name must
    end with ``.prom``.
    A reader sees the old content or the new one, never a part; the file is readable by everybody. Safe from any thread and process.

    Args:
        path: The file.
        registry: A registry, a domain, or anything with ``collect()``.
        escaping: What becomes of names outside the classic set.
        tmpdir: Where the temporary file is made; it must be on the same filesystem. Default: beside ``path``.

    Raises:
        OSError: The file cannot be written; the old one is untouched and no temporary file is left.
    """
    _replace(os.fspath(path), generate_latest(registry, escaping), tmpdir)


def _replace(path: str, content: bytes, tmpdir: str | os.PathLike[str] | None) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f"{os.path.basename(path)}.", suffix=".tmp", dir=tmpdir or os.path.dirname(path) or ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)  # the reader is another user
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
