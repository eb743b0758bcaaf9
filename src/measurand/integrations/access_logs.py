"""Keeps requests for the pages out of the servers' access logs: probes come every few seconds and say nothing.

A filter on the loggers of uvicorn, gunicorn, hypercorn and granian, none of which is imported. Records of a shape that it does not know
pass. A server that was given a root path logs it in front of each path; which one that is, is known once a page was asked for there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack

from measurand.endpoints.asgi import roots

__all__ = ["leave_out"]

LOGGERS = ("uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access")


class _LeaveOut(logging.Filter):
    def __init__(self, paths: Collection[str]) -> None:
        super().__init__()
        self._paths = frozenset(paths)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is about another path."""
        path: object = None
        if isinstance(record.args, Mapping):
            path = record.args.get("U") or record.args.get("path")  # gunicorn and hypercorn; granian
        elif isinstance(record.args, tuple) and len(record.args) == 5:
            path = record.args[2]  # uvicorn: client, method, path, version, status
        return not isinstance(path, str) or not self._is_page(path.partition("?")[0])

    def _is_page(self, path: str) -> bool:
        return path in self._paths or any(path.startswith(root) and path[len(root) :] in self._paths for root in roots())


def leave_out(paths: Collection[str]) -> Callable[[], None]:
    """Leave requests for these paths out of access logs from now on.

    Returns:
        A function that ends it.
    """
    undo = ExitStack()
    unwanted = _LeaveOut(paths)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.addFilter(unwanted)
        undo.callback(logger.removeFilter, unwanted)
    return undo.close
