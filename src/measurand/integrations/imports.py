"""Being told when a module has been imported, so that a library can be instrumented without being imported for that."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import get_ident
from types import ModuleType
from typing import Any

__all__ = ["when_imported"]

LOG = logging.getLogger("measurand.integrations")

Told = Callable[[ModuleType], object]


def when_imported(name: str, function: Told) -> None:
    """Call a function with a module once it has been imported, or at once if it has been already.

    What the function raises is logged, and the import succeeds all the same. In a forked child what was asked for before still holds.

    Args:
        name: The module's full name.
        function: Called once, in the thread that imports the module, before anybody else gets to see it.
    """
    module = sys.modules.get(name)
    if module is not None and not _is_under_way(module):
        _tell(function, module)
        return
    for finder in sys.meta_path:
        if isinstance(finder, _Finder):
            finder.wait(name, function)
            return
    finder = _Finder()
    finder.wait(name, function)
    sys.meta_path.insert(0, finder)


def _is_under_way(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _tell(function: Told, module: ModuleType) -> None:
    try:
        function(module)
    except Exception:
        LOG.warning("what was to be done once %s is imported could not be", module.__name__, exc_info=True)


class _Finder(MetaPathFinder):
    """Stands before the others, and puts something around the loaders of the modules that are waited for."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Told]] = {}
        self._asked: set[tuple[str, int]] = set()  # by which thread, so that this one does not answer itself

    def wait(self, name: str, function: Told) -> None:
        self._waiting.setdefault(name, []).append(function)

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        asked = (fullname, get_ident())
        if fullname not in self._waiting or asked in self._asked:
            return None
        self._asked.add(asked)
        try:
            spec = find_spec(fullname)
        finally:
            self._asked.discard(asked)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Telling(spec.loader, self._loaded)
        return spec

    def _loaded(self, module: ModuleType) -> None:
        for function in self._waiting.pop(module.__name__, ()):
            _tell(function, module)


class _Telling(Loader):
    """A loader that says when it has loaded, and is then gone again.

    Who only asks for a module's spec, as ``python -m`` does of a package, gets it too, and nothing comes of it.
    """

    def __init__(self, loader: Any, loaded: Told) -> None:
        self._loader = loader
        self._loaded = loaded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._loaded(module)
