"""The project's ground rules: each test is one sentence of docs/architecture.md or CONTRIBUTING.md.

What a rule excepts stands here, with the reason.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import measurand

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "measurand"
TESTS = ROOT / "tests"
PROBE = TESTS / "import_probe.py"

ORDER = (
    "errors < clock < core < metrics < catalog < encoding < exporters < lifecycle < health < endpoints < compat < integrations < dashboard"
    " < alerts < testing < config < bootstrap < cli"
)
LAYERS = ORDER.split(" < ")

COMMANDS = ("__main__", "family")
"""What ``python -m`` runs, by the last layer."""

NO_MODULE = "cli/site/sitecustomize.py"
"""What interpreters run at their start under ``measurand run``: it acts, and nobody imports it by a name of ours."""

MEET_OTHER_LIBRARIES = ("exporters", "integrations", "compat", "testing.plugin", "metrics.untold")  # the last: what uWSGI brings along
# Suites about no single module.
NO_SOURCE = {
    "tests/test_architecture.py": "the rules of the whole project",
    "tests/test_packaging.py": "what is published",
    "tests/test_documentation.py": "the examples of the pages",
    "tests/integrations/test_oldest.py": "the integrations' suites once more, on the oldest frameworks",
    "tests/metrics/test_gauges_across_processes.py": "every rule of a gauge at four processes",
    "tests/metrics/test_features_across_processes.py": "every feature at one process and at four",
    "tests/exporters/test_golden_names.py": "one registry at every destination",
    "tests/core/native/test_steps.py": "both cores beside a model, step by step",
    "tests/core/native/test_twins.py": "the faces of both cores",
}
# Modules whose behaviour is tested elsewhere.
TESTED_BY: dict[str, str] = {
    "bootstrap/identity.py": "tests/bootstrap/test_runtime.py",
    "core/inspection.py": "tests/cli/test_family.py",
    "core/tasks.py": "tests/core/test_family.py",
    "core/lane_format.py": "tests/core/test_lanes.py",
    "family.py": "tests/cli/test_family.py",
    "metrics/everywhere.py": "tests/metrics/test_features_across_processes.py",
    "metrics/noting.py": "tests/metrics/test_removals.py",
    "core/locks.py": "tests/core/test_family.py",
    "metrics/identities.py": "tests/metrics/test_shared.py",
    "metrics/places.py": "tests/metrics/test_shared.py",
    "metrics/removing.py": "tests/metrics/test_removals.py",
    "metrics/sharing.py": "tests/metrics/test_shared.py",
}

# Files past 400 lines, each with its reason.
LONG: dict[str, str] = {
    "tests/encoding/test_checking_pages.py": "one table of what collectors can yield, read best in one piece",
}

SMELLS = {
    "work left undone": (r"\b(TODO|FIXME|XXX)\b", ("src", "tests", "examples", "benchmarks", "docs", ".ci")),
    "a test or the library sleeps": (r"\b(time|asyncio)\.sleep\((?!0\))", ("src", "tests")),
    "an error swallowed in silence": (r"except (Base)?Exception:\s*pass\b", ("src", "tests", "examples", "benchmarks")),
    "a test that cannot fail": (r"\bassert True\b", ("tests",)),
    "a test that does not run": (r"pytest\.mark\.(xfail|skip\b)", ("tests",)),
    "coverage turned off": (r"pragma: no cover", ("src",)),
}


# -- reading the source --------------------------------------------------------------------------------------------------------


def source_of_modules() -> dict[str, str]:
    """The package's modules by dotted name; a package stands for its ``__init__``."""
    found = {}
    for path in sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / NO_MODULE}):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


MODULES = source_of_modules()


class Import(NamedTuple):
    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}, imports {self.imported}"


def imports(sources: Mapping[str, str]) -> Iterator[Import]:
    """Every import, wherever it stands: at the top, in a function, under ``TYPE_CHECKING``, or by ``import_module("…")``."""
    for module, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Import(names=names):
                    yield from (Import(module, alias.name, node.lineno) for alias in names)
                case ast.ImportFrom(module=str(origin), names=names, level=0):
                    whole = {f"{origin}.{alias.name}" for alias in names} & sources.keys()
                    yield from (Import(module, name, node.lineno) for name in (whole or {origin}))
                case ast.ImportFrom():
                    yield Import(module, "something by a relative name", node.lineno)
                case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(value=str(name)), *_]):
                    if called == "import_module":
                        yield Import(module, name, node.lineno)


def layer_of(module: str) -> int:
    """The position of a module's layer, counted from the left; the package itself, which only names things, is right of them all."""
    top = module.split(".")[1] if "." in module else ""
    return len(LAYERS) if not top else LAYERS.index("cli" if top in COMMANDS else top)


def stands_in(module: str, *places: str) -> bool:
    return any(f"{module}.".startswith(f"measurand.{place}.") for place in places)


def against_the_layers(sources: Mapping[str, str]) -> list[str]:
    return [
        str(each)
        for each in imports(sources)
        if each.imported == "something by a relative name"
        or (each.imported.partition(".")[0] == "measurand" and layer_of(each.imported) > layer_of(each.importer))
    ]


# -- layers --------------------------------------------------------------------------------------------------------------------


def test_every_module_has_a_layer() -> None:
    assert [module for module in MODULES if "." in module and module.split(".")[1] not in (*LAYERS, *COMMANDS)] == []


def test_a_module_imports_only_from_layers_to_its_left() -> None:
    assert against_the_layers(MODULES) == []


@pytest.mark.parametrize(
    "planted",
    [
        "import measurand.metrics.registry",
        "from measurand.metrics import registry",
        "from measurand.metrics.registry import CollectorRegistry",
        "from measurand import Counter",
        "import measurand",
        "from . import support",
        "def late():\n    from measurand.metrics import registry",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from measurand.metrics import registry",
        "import importlib\nimportlib.import_module('measurand.metrics.registry')",
    ],
)
def test_an_import_to_the_right_is_found_however_it_is_written(planted: str) -> None:
    assert len(against_the_layers(dict.fromkeys(MODULES, "") | {"measurand.core.planted": planted})) == 1


def test_only_what_meets_other_libraries_imports_them() -> None:
    foreign = [each for each in imports(MODULES) if each.imported.partition(".")[0] not in {"measurand", *sys.stdlib_module_names}]
    assert [str(each) for each in foreign if not stands_in(each.importer, *MEET_OTHER_LIBRARIES)] == []


def test_only_the_clock_reads_the_time() -> None:
    others = {name: source for name, source in MODULES.items() if name != "measurand.clock"}
    assert [str(each) for each in imports(others) if each.imported in ("time", "_time")] == []
    asked = re.compile(r"\b(datetime|date)\.(now|utcnow|today)\(")
    assert [name for name, source in others.items() if asked.search(source)] == []


def test_only_the_configuration_reads_the_environment() -> None:
    """But for what is needed before there is anything to configure: which core there is, and where processes meet."""

    def reads(source: str) -> list[str]:
        named = {"environ", "environb", "getenv", "getenvb", "expandvars"}
        lines = []
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Attribute(value=ast.Name(id="os" | "path") | ast.Attribute(attr="path"), attr=name) if name in named:
                    lines.append(source.splitlines()[node.lineno - 1])
                case ast.ImportFrom(module="os" | "os.path" | "posixpath", names=names) if named & {alias.name for alias in names}:
                    lines.append(source.splitlines()[node.lineno - 1])
        return lines

    found = {name: reads(source) for name, source in MODULES.items() if not stands_in(name, "config")}
    assert [line for line in found.pop("measurand.core") if '"MEASURAND_PURE"' not in line] == []
    assert [line for line in found.pop("measurand.core.ancestry") if '"MEASURAND_FAMILY_DIR"' not in line] == []
    assert {name: lines for name, lines in found.items() if lines} == {}


# -- importing -----------------------------------------------------------------------------------------------------------------


class Probed(NamedTuple):
    loaded: frozenset[str]
    did: list[str]


COMMAND = [sys.executable, "-B", "-W", "ignore", str(PROBE)]


def probed(answer: str) -> Probed:
    found = json.loads(answer)
    return Probed(frozenset(found["loaded"]), found["did"])


def probe(module: str, *names: str, folder: Path = ROOT) -> Probed:
    """Import a module, and fetch names from it, in a fresh interpreter; see import_probe.py. ``folder`` is where else modules may be."""
    command, environment = [*COMMAND, module, *names], {"PYTHONPATH": str(folder)}
    found = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stderr
    return probed(found.stdout)


@pytest.fixture(scope="module")
def importing() -> Iterator[Callable[[str], Probed]]:
    """The same for one module after another, each in a process of its own that has loaded no other."""
    environment = {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([*COMMAND, "-"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as probing:
        assert probing.stdin is not None
        assert probing.stdout is not None

        def probe_next(module: str) -> Probed:
            print(module, file=probing.stdin, flush=True)
            return probed(probing.stdout.readline())

        yield probe_next
        probing.stdin.close()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports_alone_and_importing_does_nothing(module: str, importing: Callable[[str], Probed]) -> None:
    loaded, did = importing(module)
    assert module in loaded, did
    assert [act for act in did if act != "measurand.core: environment read: MEASURAND_PURE"] == []
    if not stands_in(module, *MEET_OTHER_LIBRARIES):
        foreign = {name.partition(".")[0] for name in loaded} - {"measurand", *sys.stdlib_module_names}
        assert foreign == set()


@pytest.mark.parametrize(
    ("deed", "seen_as"),
    [
        ("import threading; threading.Thread(target=int).start()", "a thread starts"),
        ("open('planted.txt', 'w').close()", "open"),
        ("import tempfile; tempfile.mkstemp()", "open"),
        ("import socket; socket.socket().close()", "socket.__new__"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("import os; os.environ.get('HOME')", "environment read: HOME"),
        ("import os; os.getenv('HOME')", "environment read: HOME"),
        ("import os; dict(os.environ)", "environment read: all of it"),
        ("import os; os.environ['PLANTED'] = '1'", "os.putenv"),
        ("import atexit; atexit.register(int)", "atexit.register"),
        ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", "signal.signal"),
        ("import os; os.register_at_fork(before=int)", "os.register_at_fork"),
        ("import gc; gc.callbacks.append(lambda *_: None)", "changed gc.callbacks"),
        ("import sys; sys.excepthook = print", "changed sys.excepthook"),
        ("import sys; sys.meta_path.append(None)", "changed sys.meta_path"),
    ],
)
def test_a_module_that_acts_when_imported_is_caught(tmp_path: Path, deed: str, seen_as: str) -> None:
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "__init__.py").write_text("from planted import inner\n")
    (tmp_path / "planted" / "inner.py").write_text(f"{deed}\n")
    assert seen_as in "\n".join(probe("planted", folder=tmp_path).did)


def test_what_the_standard_library_does_when_imported_is_not_held_against_us(tmp_path: Path) -> None:
    modules = "asyncio, concurrent.futures.thread, logging.handlers, random, ssl, tempfile, uuid, zoneinfo"
    (tmp_path / "planted.py").write_text(f"import {modules}\n")
    assert probe("planted", folder=tmp_path).did == []


def test_importing_the_package_loads_nothing_but_names() -> None:
    loaded = probe("measurand").loaded
    assert {name for name in loaded if name.startswith("measurand")} == {"measurand"}
    assert loaded & {"asyncio", "dataclasses", "email", "http", "inspect", "json", "logging", "socket", "threading", "urllib"} == set()


def test_defining_instruments_loads_no_servers_encoders_or_event_loops() -> None:
    loaded = probe("measurand", "Counter", "Gauge", "Histogram", "timed").loaded
    assert {name.split(".")[1] for name in loaded if name.startswith("measurand.")} == {"errors", "clock", "core", "metrics"}
    assert loaded & {"asyncio", "concurrent", "email", "http", "json", "multiprocessing", "socket", "ssl", "subprocess", "urllib"} == set()


# -- names ---------------------------------------------------------------------------------------------------------------------


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    values = {name: getattr(measurand, name) for name in measurand.__all__}
    callables = {name: value for name, value in values.items() if callable(value)}
    assert [name for name, value in callables.items() if not (inspect.getdoc(value) or "").strip()] == []
    assert len(set(measurand.__all__)) == len(measurand.__all__)
    assert set(measurand.__all__) <= set(dir(measurand))


def test_type_checkers_and_the_interpreter_find_the_same_public_names() -> None:
    """What stands under ``TYPE_CHECKING`` and what is loaded on first use are two lists of one thing."""
    (block,) = [node for node in ast.parse(MODULES["measurand"]).body if isinstance(node, ast.If)]
    typed = {alias.asname: (node.module, alias.name) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed.keys() == {name for name in measurand.__all__ if not name.startswith("__")}
    for public, (module, name) in typed.items():
        assert getattr(measurand, public) is getattr(importlib.import_module(str(module)), name)


def test_every_name_that_a_module_offers_exists() -> None:
    modules = [importlib.import_module(name) for name in MODULES if not name.endswith("__main__")]
    assert [f"{module.__name__}.{name}" for module in modules for name in getattr(module, "__all__", ()) if not hasattr(module, name)] == []


# -- files ---------------------------------------------------------------------------------------------------------------------


def files(*folders: str, suffixes: tuple[str, ...] = (".py", ".c", ".h", ".md", "")) -> Iterator[Path]:
    """The project's own files, by path from its root."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in suffixes and not path.is_relative_to(PACKAGE.parent / "measurand.egg-info"):
                yield path.relative_to(ROOT)


def suites() -> list[str]:
    own_rules = ("examples", "servers", "e2e")  # they test programs and processes, not modules
    found = [path.as_posix() for path in files("tests") if re.fullmatch(r"test_\w+\.py", path.name)]
    return [path for path in found if path.split("/")[1] not in own_rules and path not in NO_SOURCE]


def subject(suite: str) -> list[str]:
    """The module that a suite is about: for ``tests/a/test_b.py`` it is ``a/b.py``, ``a/b.c``, the package ``a/b``, or ``a`` if a is b.

    ``tests/a/test_b_detail.py`` is about a part of it, if there is no module of that name.
    """
    folder, _, name = suite.removeprefix("tests/").rpartition("/")
    words = name.removeprefix("test_").removesuffix(".py").split("_")
    for count in range(len(words), 0, -1):
        stem = PACKAGE / folder / "_".join(words[:count])
        here = [PACKAGE / folder / "__init__.py"] if stem.name == Path(folder).name else []
        places = (stem.with_suffix(".py"), stem / "__init__.py", stem.with_suffix(".c"), *here)
        if found := [str(path) for path in places if path.is_file()]:
            return found
    return []


def test_every_suite_stands_where_its_module_does() -> None:
    assert [suite for suite in suites() if not subject(suite)] == []
    assert [path for path in NO_SOURCE if not (ROOT / path).is_file()] == []


def test_every_module_has_its_suite() -> None:
    covered = {path for suite in suites() for path in subject(suite)}
    public = [path for path in sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / NO_MODULE}) if not path.name.startswith("_")]
    lacking = {path.relative_to(PACKAGE).as_posix() for path in public if str(path) not in covered}
    assert lacking - TESTED_BY.keys() == set()
    assert TESTED_BY.keys() - lacking == set(), "these have suites of their own now"
    assert [path for path in TESTED_BY.values() if not (ROOT / path).exists()] == []


def test_files_stay_short_enough_to_have_one_reason_to_change() -> None:
    code = files("src", "tests", "examples", "benchmarks", suffixes=(".py", ".c", ".h"))
    long = {path.as_posix() for path in code if len((ROOT / path).read_text().splitlines()) > 400}
    assert long - LONG.keys() == set()
    assert LONG.keys() - long == set(), "these are short again"


@pytest.mark.parametrize("smell", SMELLS)
def test_nothing_smells(smell: str) -> None:
    pattern, folders = SMELLS[smell]
    text = {path: (ROOT / path).read_text() for path in files(*folders) if path.name != Path(__file__).name}
    assert [f"{path}: {match[0]}" for path, content in text.items() for match in re.finditer(pattern, content)] == []


def test_the_page_about_the_layers_shows_these() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    assert ORDER in re.sub(r"\s+", " ", page)
    shown = {name.split(".")[1] for name in MODULES if "." in name} - {*COMMANDS}
    assert [layer for layer in shown if f"| `{layer}` |" not in page] == []
