"""Being told when a module has been imported."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from measurand.integrations.imports import when_imported
from tests.support import run_python

pytestmark = pytest.mark.once


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where modules can be put; they are forgotten afterwards."""
    before, finders = set(sys.modules), list(sys.meta_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


def put(folder: Path, name: str, source: str) -> None:
    (folder / f"{name}.py").write_text(source)
    importlib.invalidate_caches()


def test_one_is_told_once_when_the_module_has_all_its_names(folder: Path) -> None:
    put(folder, "awaited", "first = 1\nlast = 2\n")
    told: list[ModuleType] = []
    when_imported("awaited", lambda module: told.append(module.last))
    assert told == []
    module = importlib.import_module("awaited")
    importlib.import_module("awaited")
    assert told == [2]
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    assert type(module.__loader__).__module__ == "_frozen_importlib_external"
    assert inspect.getsource(module).startswith("first")


def test_at_once_if_it_is_there_already() -> None:
    told: list[str] = []
    when_imported("json", lambda module: told.append(module.__name__))
    assert told == ["json"]


def test_several_may_wait_for_one_and_one_for_a_part_of_a_package(folder: Path) -> None:
    (folder / "parcel").mkdir()
    put(folder / "parcel", "__init__", "")
    put(folder / "parcel", "inner", "value = 1")
    told: list[str] = []
    when_imported("parcel.inner", lambda module: told.append("first"))
    when_imported("parcel.inner", lambda module: told.append("second"))
    when_imported("parcel", lambda module: told.append("parcel"))
    importlib.import_module("parcel.inner")
    assert told == ["parcel", "first", "second"]


def test_who_only_looks_for_a_module_does_not_use_up_the_waiting(folder: Path) -> None:
    """As ``python -m`` does with a package."""
    put(folder, "awaited", "value = 1")
    told: list[str] = []
    when_imported("awaited", lambda module: told.append(module.__name__))
    spec = importlib.util.find_spec("awaited")
    assert spec is not None
    assert told == []
    importlib.import_module("awaited")
    assert told == ["awaited"]


def test_a_program_that_is_a_package_is_told_of(folder: Path) -> None:
    (folder / "parcel").mkdir()
    put(folder / "parcel", "__init__", "print('package')")
    put(folder / "parcel", "__main__", "print('program')")
    hook = "from measurand.integrations.imports import when_imported\nwhen_imported('parcel', lambda module: print('told'))"
    program = f"import sys, runpy\nsys.path.insert(0, {str(folder)!r})\nrunpy.run_module('parcel', run_name='__main__', alter_sys=True)"
    done = run_python(f"{hook}\n{program}")
    assert done.stdout.split() == ["package", "told", "program"], done.stderr


def test_what_it_raises_harms_nobody(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(folder, "awaited", "value = 1")
    told: list[str] = []

    def fail(module: ModuleType) -> None:
        raise RuntimeError("no")

    when_imported("awaited", fail)
    when_imported("awaited", lambda module: told.append("still"))
    with caplog.at_level(logging.WARNING, "measurand.integrations"):
        assert importlib.import_module("awaited").value == 1
    assert told == ["still"]
    assert caplog.messages == ["what was to be done once awaited is imported could not be"]


def test_a_module_that_is_missing_is_missed_as_ever_and_one_that_fails_may_be_tried_again(folder: Path) -> None:
    told: list[str] = []
    when_imported("awaited", lambda module: told.append(module.__name__))
    with pytest.raises(ModuleNotFoundError, match="No module named 'awaited'"):
        importlib.import_module("awaited")
    put(folder, "awaited", "raise ValueError('not yet')")
    with pytest.raises(ValueError, match="not yet"):
        importlib.import_module("awaited")
    assert told == []
    put(folder, "awaited", "value = 'longer than before'")
    importlib.import_module("awaited")
    assert told == ["awaited"]
