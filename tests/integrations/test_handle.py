"""Handles: once for each target, taken back once, and libraries that are missing or too old."""

from __future__ import annotations

import gc
import logging
import sys
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from measurand.errors import MissingExtra
from measurand.integrations.handle import Handle, Installations, library, version_of

pytestmark = pytest.mark.once


class Target:
    """Something to instrument."""

    def __init__(self) -> None:
        self.hooks = 0


def install(installations: Installations, target: Target, metrics: Any = None) -> Handle:
    def make() -> Handle:
        target.hooks += 1
        return Handle("a target", metrics, target, Target.__init__)

    return installations.once(target, metrics, make)


def test_a_target_is_instrumented_once_and_taken_back_once() -> None:
    installations, target, other = Installations(), Target(), Target()
    handle = install(installations, target)
    assert install(installations, target) is handle
    assert install(installations, other) is not handle
    assert (target.hooks, other.hooks, handle.is_active) == (1, 1, True)
    assert installations.of(target) is handle
    for _ in range(2):
        handle.uninstrument()
        assert (target.hooks, other.hooks, handle.is_active) == (0, 1, False)
    assert installations.of(target) is None
    assert "taken back" in repr(handle)


def test_it_can_be_instrumented_again_after_that() -> None:
    installations, target = Installations(), Target()
    first = install(installations, target)
    first.uninstrument()
    second = install(installations, target)
    first.uninstrument()
    assert (target.hooks, second.is_active) == (1, True)


def test_a_block_takes_it_back() -> None:
    target = Target()
    with install(Installations(), target) as handle:
        assert (target.hooks, handle.is_active) == (1, True)
    assert target.hooks == 0


def test_another_metric_set_for_the_same_target_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    installations, target, metrics = Installations(), Target(), object()
    install(installations, target, metrics)
    with caplog.at_level(logging.WARNING, "measurand.integrations"):
        install(installations, target, metrics)
        install(installations, target)
        assert caplog.messages == []
        assert install(installations, target, object()).metrics is metrics
    assert caplog.messages == ["a target: instrumented already, with another metric set, which stays; uninstrument() it first"]


def test_a_target_that_is_gone_is_not_kept() -> None:
    installations, target = Installations(), Target()
    handle, gone = install(installations, target), ref(target)
    del target
    gc.collect()
    assert gone() is None
    handle.uninstrument()
    assert not handle.is_active


def test_a_library_that_is_there_is_imported() -> None:
    assert library("hypothesis", extra="any", floor="6.0") is sys.modules["hypothesis"]
    assert library("hypothesis.strategies", extra="any", floor="6.0") is sys.modules["hypothesis.strategies"]


def test_one_that_is_not_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r"nothing-of-this is not installed; run: pip install 'measurand\[some\]'"):
        library("nothing_of_this", package="nothing-of-this", extra="some", floor="1.0")
    assert version_of("nothing-of-this") == ""


def test_one_that_is_too_old_is_named_with_both_versions() -> None:
    found = version_of("hypothesis")
    with pytest.raises(MissingExtra) as caught:
        library("hypothesis", extra="some", floor="1000.1")
    assert str(caught.value) == (
        f"hypothesis {found} is installed, and 1000.1 or newer is needed; run: pip install --upgrade 'measurand[some]'"
    )


def test_one_that_lacks_something_itself_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halfway.py").write_text("import nothing_of_this\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this") as caught:
        library("halfway", extra="some", floor="1.0")
    assert not isinstance(caught.value, MissingExtra)
