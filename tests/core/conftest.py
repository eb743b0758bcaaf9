"""The core's suites run over both twins: fixtures ``core`` (the module) and ``make`` (what makes instruments of it)."""

from __future__ import annotations

import importlib
import logging
import os
from pathlib import Path
from types import ModuleType

import pytest

from tests.core.kit import Kit, MovedKit

MODULES = {"python": "measurand.core.pure", "c": "measurand.core._native"}
NOT_BUILT = "the C core is not built: install a C compiler and the Python headers, then run `pip install -e .`"


def is_built(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def twin(implementation: str) -> ModuleType:
    """The module of one twin; skips where the C core was not built, or fails if it has to be there."""
    try:
        return importlib.import_module(MODULES[implementation])
    except ImportError as reason:
        if os.environ.get("MEASURAND_REQUIRE_NATIVE") == "1":
            pytest.fail(f"{NOT_BUILT} ({reason})")
        pytest.skip(NOT_BUILT)


@pytest.fixture(scope="session", params=list(MODULES))
def core(request: pytest.FixtureRequest) -> ModuleType:
    """Each twin in turn."""
    return twin(request.param)


@pytest.fixture(scope="session")
def native() -> ModuleType:
    """The C twin, for tests of what only it has."""
    return twin("c")


@pytest.fixture(scope="session", params=[Kit, MovedKit], ids=["own", "moved"])
def make(core: ModuleType, request: pytest.FixtureRequest) -> Kit:
    """Makes instruments of the twin, with cells of their own, and once more with cells that were moved."""
    kit: Kit = request.param(core)
    return kit


@pytest.fixture(scope="session")
def twins(native: ModuleType) -> tuple[Kit, Kit]:
    """Both twins at once, the Python one first."""
    return Kit(twin("python")), Kit(native)


@pytest.fixture(scope="session")
def built() -> tuple[Kit, ...]:
    """Each twin that there is, the Python one first."""
    return tuple(Kit(importlib.import_module(module)) for module in MODULES.values() if is_built(module))


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what is logged from being kept."""
    caplog.set_level(logging.CRITICAL, logger="measurand")


MATTERS = ("test_series", "test_recording", "test_place", "test_contract_threads", "test_contract_reentry", "test_contract_interruption")
"""The suites to which it matters where cells are."""


def is_moved(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    return call is not None and call.params.get("make") is MovedKit


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """These suites choose the twin themselves: once is enough, whatever the package runs on."""
    here = Path(__file__).parent
    idle = [item for item in items if item.path.is_relative_to(here) and is_moved(item) and not item.path.name.startswith(MATTERS)]
    if idle:
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in idle]
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("once")
