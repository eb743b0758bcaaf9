"""Forks that Python is not told of: uWSGI loads the application and then forks in C, without the hooks of ``os.register_at_fork``.

It calls one function in each child, which programs share through its ``uwsgidecorators``. With ``--lazy-apps``, where each worker loads the
application itself, nothing of this is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["tell_of_forks"]


def tell_of_forks(in_child: Callable[[], None]) -> bool:
    """Have a function called in each child that is forked without Python's hooks; whether this process is one that forks so."""
    uwsgi: Any = sys.modules.get("uwsgi")
    try:
        if uwsgi is None or uwsgi.worker_id() != 0:
            return False
        before = getattr(uwsgi, "post_fork_hook", None)
        try:
            postfork = import_module("uwsgidecorators").postfork
        except Exception:  # noqa: BLE001 - not installed, or it refuses to be used without a master
            uwsgi.post_fork_hook = _both(before, in_child)
        else:
            postfork(in_child)
    except Exception:  # noqa: BLE001 - something else of that name
        return False
    return True


def _both(first: Callable[[], None] | None, second: Callable[[], None]) -> Callable[[], None]:
    def hook() -> None:
        second()
        if first is not None:
            first()

    return hook
