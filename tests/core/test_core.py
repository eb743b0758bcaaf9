"""Which twin the package runs on, and what is said about it. Each case is a fresh interpreter."""

from __future__ import annotations

from types import ModuleType

import pytest

import measurand.core
from tests.support import run_python

WITHOUT_NATIVE = "import sys; sys.modules['measurand.core._native'] = None\n"
SHOW = "import measurand.core as core; print(core.implementation, core.CounterBase.__module__)"


def test_the_twin_can_be_forced() -> None:
    shown = run_python(SHOW, "-W", "error", pure="1")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("python measurand.core")
    assert "_native" not in run_python("import sys, measurand.core; print(*sys.modules)", pure="1").stdout


@pytest.mark.parametrize("pure", [None, "", "0"])
def test_the_c_core_serves_where_it_was_built_and_nothing_is_said(native: ModuleType, pure: str | None) -> None:
    shown = run_python(SHOW, "-W", "error", pure=pure)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("c ")


def test_a_missing_c_core_is_said_once_with_what_to_do() -> None:
    code = WITHOUT_NATIVE + SHOW + "\nimport measurand.core.pure, measurand.core.wrapping, measurand.core"
    shown = run_python(code, "-W", "always")
    assert shown.returncode == 0
    assert shown.stdout.startswith("python ")
    assert shown.stderr.count("RuntimeWarning") == 1
    for advice in ("pure-Python core", "Install a C compiler and the Python headers and reinstall measurand", "MEASURAND_PURE=1"):
        assert shown.stderr.count(advice) == 1


def test_a_missing_c_core_is_an_error_where_warnings_are() -> None:
    shown = run_python(WITHOUT_NATIVE + SHOW, "-W", "error")
    assert shown.returncode == 1
    assert "RuntimeWarning: measurand runs on its pure-Python core" in shown.stderr


def test_both_twins_can_be_used_side_by_side(native: ModuleType) -> None:
    code = """
import measurand.core
from measurand.core import _native, pure
from measurand.core.contract import Spec
for twin in (_native, pure):
    class Counter(twin.CounterBase):
        pass
    counter = Counter()
    twin.define(counter, Spec("m", "counter", "counter"))
    counter.inc()
    print(twin.implementation, twin.freeze(counter).rows())
"""
    assert run_python(code).stdout == "c [((), (1.0,))]\npython [((), (1.0,))]\n"


def test_the_package_offers_the_whole_contract(core: ModuleType) -> None:
    assert set(measurand.core.__all__) == {"DEFAULT_MAX_SERIES", "OVERFLOW_VALUE", "Exemplar", "Spec", *core.__all__}
    assert all(hasattr(measurand.core, name) for name in measurand.core.__all__)
