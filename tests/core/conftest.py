"""The core's suites run over both twins: fixtures ``core`` (the module) and ``make`` (what makes instruments of it)."""

from __future__ import annotations

import importlib
import logging
import os
from pathlib import Path
from types import ModuleType

import pytest

from tests.core.kit import Kit

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


@pytest.fixture(scope="session")
def make(core: ModuleType) -> Kit:
    """Makes instruments of the twin."""
    return Kit(core)


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These suites choose the twin themselves: once is enough, whatever the package runs on."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("once")
