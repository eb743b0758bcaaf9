"""A text file for the node exporter's textfile collector."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Any

from measurand.encoding.escaping import UNDERSCORES
from measurand.encoding.text import generate_latest

__all__ = ["write_to_textfile"]


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
    path = os.fspath(path)
    content = generate_latest(registry, escaping)
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
