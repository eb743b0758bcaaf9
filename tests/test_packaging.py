"""What is published, and what happens where there is no compiler. Built here without a network; .ci/build installs the results."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from importlib import import_module
from importlib.metadata import distribution, version
from pathlib import Path, PurePosixPath

import pytest

import measurand

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = sorted(path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py"))
BUILD = "import sys; from setuptools import build_meta; to = sys.argv[1]; build_meta.build_sdist(to); build_meta.build_wheel(to)"
FELL_BACK = "the C core was not built; the pure-Python core is used"


def copy_of_the_project(folder: Path) -> Path:
    """The checkout without what has been built in it."""
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "*.so", "__pycache__")
    return Path(shutil.copytree(ROOT, folder / "project", ignore=ignored))


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("CC", "MEASURAND_REQUIRE_NATIVE")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=inherited | environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist and a wheel."""
    project = copy_of_the_project(tmp_path_factory.mktemp("packaging"))
    built = run("-c", BUILD, "dist", cwd=project)
    assert built.returncode == 0, built.stdout + built.stderr
    complaints = re.findall(r".*\.[ch]:\d+:\d+: warning.*", built.stdout + built.stderr)
    assert complaints == [], "the compiler is not content"
    return project / "dist"


@pytest.fixture(scope="module")
def wheel(artefacts: Path) -> zipfile.ZipFile:
    (path,) = artefacts.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def sdist(artefacts: Path) -> list[str]:
    (path,) = artefacts.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return [PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in archive.getnames()]


class TestWheel:
    def test_one_serves_every_interpreter_from_3_11(self, wheel: zipfile.ZipFile) -> None:
        assert "-cp311-abi3-" in str(wheel.filename)
        assert any(re.fullmatch(r"measurand/core/_native\.abi3\.(so|pyd)", name) for name in wheel.namelist())

    def test_holds_the_package_and_nothing_else(self, wheel: zipfile.ZipFile) -> None:
        code = [name for name in wheel.namelist() if not re.match(r"measurand-[^/]*\.dist-info/|measurand/core/_(?:native|guard)\.", name)]
        assert sorted(code) == sorted([*SOURCES, "measurand/py.typed"])

    def test_carries_its_licence_and_its_description(self, wheel: zipfile.ZipFile) -> None:
        (metadata,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
        fields = Parser().parsestr(wheel.read(metadata).decode())
        assert fields["License-Expression"] == "Apache-2.0"
        assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())
        assert fields.get_payload() == (ROOT / "README.md").read_text()

    def test_depends_on_nothing_without_an_extra(self, wheel: zipfile.ZipFile) -> None:
        (metadata,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
        required = Parser().parsestr(wheel.read(metadata).decode()).get_all("Requires-Dist") or []
        assert [requirement for requirement in required if "extra ==" not in requirement] == []


class TestSourceDistribution:
    def test_holds_what_the_c_core_is_built_from(self, sdist: list[str]) -> None:
        native = [path.relative_to(ROOT).as_posix() for path in (ROOT / "src/measurand/core/native").glob("*.[ch]")]
        assert native
        assert set(native) <= set(sdist)

    def test_holds_the_package_its_licence_and_its_description(self, sdist: list[str]) -> None:
        assert {f"src/{name}" for name in SOURCES} | {"LICENSE", "README.md", "pyproject.toml", "setup.py"} <= set(sdist)

    def test_holds_nothing_that_was_built(self, sdist: list[str]) -> None:
        assert [name for name in sdist if name.endswith((".so", ".pyd", ".o", ".pyc"))] == []


class TestWithoutACompiler:
    def test_building_succeeds_and_says_once_which_core_is_used(self, tmp_path: Path) -> None:
        built = run("setup.py", "-q", "build_ext", "--inplace", cwd=copy_of_the_project(tmp_path), CC="/bin/false")
        assert built.returncode == 0, built.stderr
        assert built.stderr.count(FELL_BACK) == 1
        assert "install a C compiler" in built.stderr

    def test_building_fails_when_the_c_core_is_required(self, tmp_path: Path) -> None:
        project = copy_of_the_project(tmp_path)
        built = run("setup.py", "-q", "build_ext", "--inplace", cwd=project, CC="/bin/false", MEASURAND_REQUIRE_NATIVE="1")
        assert built.returncode != 0
        assert FELL_BACK not in built.stderr


def distribution_name(requirement: str) -> str:
    """The name in a requirement, as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def test_every_entry_point_leads_somewhere() -> None:
    entries = distribution("measurand").entry_points
    assert entries
    for entry in entries:
        entry.load()


def calls_of(name: str) -> Iterator[tuple[str, ast.Call]]:
    """The calls of a function by its name, each with the name of the module that it stands in."""
    for source in SOURCES:
        for call in ast.walk(ast.parse((ROOT / "src" / source).read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name:
                yield source.removesuffix(".py").replace("/", "."), call


def test_every_extra_that_an_error_names_exists() -> None:
    """``MissingExtra(package, extra)`` tells users what to install: the extra is declared, and holds the package."""
    named = [[argument.value for argument in call.args if isinstance(argument, ast.Constant)] for _, call in calls_of("MissingExtra")]
    named = [texts for texts in named if texts]  # what handle.library() was given is the next test's matter
    assert named
    for package, extra in named:
        declared = [distribution_name(requirement) for requirement in PROJECT["optional-dependencies"].get(extra, [])]
        assert distribution_name(package) in declared, f"measurand[{extra}] does not install {package}"


def test_every_library_that_an_integration_needs_is_what_its_extra_installs() -> None:
    """``library(module, extra=…, floor=…)`` refuses what is older than the floor: the extra asks for just that version or a newer one."""
    seen = set()
    for module, call in calls_of("library"):
        options = {
            keyword.arg: getattr(import_module(module), keyword.value.id) if isinstance(keyword.value, ast.Name) else keyword.value.value
            for keyword in call.keywords
        }
        package = options.get("package") or call.args[0].value.partition(".")[0]
        assert f"{package}>={options['floor']}" in PROJECT["optional-dependencies"].get(options["extra"], []), options
        seen.add(package)
    assert len(seen) > 1


def test_there_is_one_version() -> None:
    assert measurand.__version__ == PROJECT["version"] == version("measurand")


def test_the_changelog_opens_with_this_version() -> None:
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading[1] in (PROJECT["version"], "Unreleased")
