"""A text file for the node exporter."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from measurand import CollectorRegistry, Counter, generate_latest, write_to_textfile
from measurand.exporters.textfile import Textfile
from measurand.metrics.collecting import gather
from measurand.testing.exporters import ExporterConformance
from tests.support import CLOSINGS, in_background


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("rows_total", "Rows", ["kind"], registry=registry).labels("new").inc(3)
    return registry


def test_the_file_holds_what_a_scrape_would(tmp_path: Path, registry: CollectorRegistry) -> None:
    write_to_textfile(tmp_path / "job.prom", registry)
    assert (tmp_path / "job.prom").read_bytes() == generate_latest(registry)


def test_another_user_may_read_it(tmp_path: Path, registry: CollectorRegistry) -> None:
    write_to_textfile(str(tmp_path / "job.prom"), registry)
    assert stat.S_IMODE((tmp_path / "job.prom").stat().st_mode) == 0o644


def test_nothing_else_is_left_behind(tmp_path: Path, registry: CollectorRegistry) -> None:
    (tmp_path / "elsewhere").mkdir()
    write_to_textfile(tmp_path / "job.prom", registry)
    write_to_textfile(tmp_path / "job.prom", registry, tmpdir=tmp_path / "elsewhere")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["elsewhere", "job.prom"]


def test_a_relative_path_is_beside_the_program(tmp_path: Path, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_to_textfile("job.prom", registry)
    assert (tmp_path / "job.prom").exists()


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, registry: CollectorRegistry) -> None:
    target = tmp_path / "job.prom"
    target.mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match=r"job\.prom"):
        write_to_textfile(target, registry)
    with pytest.raises(FileNotFoundError):
        write_to_textfile(tmp_path / "missing" / "job.prom", registry)
    assert [path.name for path in tmp_path.iterdir()] == ["job.prom"]


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    rows = Counter("rows_total", "Rows", ["kind"], registry=registry)
    for number in range(200):
        rows.labels(str(number)).inc()
    target = tmp_path / "job.prom"
    write_to_textfile(target, registry)
    with in_background(lambda: write_to_textfile(target, registry)):
        for _ in range(200):
            assert target.read_text().count("\n") == 202


def test_names_are_escaped_as_asked(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Counter("rows.new", "Rows", registry=registry)
    write_to_textfile(tmp_path / "job.prom", registry, escaping="allow-utf-8")
    assert '{"rows.new_total"} 0.0' in (tmp_path / "job.prom").read_text()


def test_promtool_finds_nothing_to_say(
    tmp_path: Path, registry: CollectorRegistry, promtool: Callable[..., CompletedProcess[str]]
) -> None:
    write_to_textfile(tmp_path / "job.prom", registry)
    checked = promtool("check", "metrics", input=(tmp_path / "job.prom").read_text())
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_an_exporter_writes_the_same(tmp_path: Path, registry: CollectorRegistry) -> None:
    exporter = Textfile(tmp_path / "job.prom", interval=30)
    exporter.export(gather(registry))
    assert (tmp_path / "job.prom").read_bytes() == generate_latest(registry)
    assert (exporter.name, exporter.interval) == ("textfile", 30)
    assert repr(exporter) == f"Textfile({str(tmp_path / 'job.prom')!r})"


def test_an_exporter_whose_file_cannot_be_written_raises(tmp_path: Path, registry: CollectorRegistry) -> None:
    with pytest.raises(FileNotFoundError):
        Textfile(tmp_path / "nowhere" / "job.prom").export(gather(registry))


class TestExporter(ExporterConformance):
    closings = CLOSINGS

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "job.prom"

    def exporter(self, address: str | None, timeout: float) -> Textfile:
        return Textfile(self.path)

    def shown(self, name: str, labels: dict[str, str]) -> float | None:
        start = f'{name}{{run="{labels["run"]}"}} '
        return next((float(line.removeprefix(start)) for line in self.path.read_text().splitlines() if line.startswith(start)), None)

    def counted(self, name: str, labels: dict[str, str]) -> float | None:
        return self.shown(f"{name}_total", labels)

    def measured(self, name: str, labels: dict[str, str]) -> float | None:
        return self.shown(name, labels)

    def observed(self, name: str, labels: dict[str, str]) -> tuple[float | None, float | None]:
        return self.shown(f"{name}_count", labels), self.shown(f"{name}_sum", labels)
