"""Limits of control groups: from trees made as the kernel makes them, and from the real one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measurand.catalog.cgroup import CgroupReader, CgroupReading

pytestmark = pytest.mark.once

NO_LIMIT = "9223372036854771712"
V2 = "31 23 0:28 / {mount} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate"
NOTHING = CgroupReading()


def tree(folder: Path, groups: str, mounts: list[str], files: Mapping[str, str]) -> CgroupReader:
    """A reader of a system with these groups, mounts (``{mount}`` is the folder of the files) and files."""
    mount = folder / "sys with space"
    mount.mkdir(exist_ok=True)
    for name, content in files.items():
        file = mount / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")
    proc = folder / "proc" / "self"
    proc.mkdir(parents=True, exist_ok=True)
    (proc / "cgroup").write_text(groups)
    written = [line.format(mount=str(mount).replace(" ", r"\040")) for line in ["22 1 8:1 / / rw - ext4 /dev/sda1 rw", *mounts]]
    (proc / "mountinfo").write_text("\n".join(written) + "\n")
    return CgroupReader(str(folder / "proc"))


def test_version_2_in_a_container_that_sees_its_group_as_the_root(tmp_path: Path) -> None:
    files = {
        "memory.max": "536870912",
        "memory.current": "104857600",
        "cpu.max": "150000 100000",
        "cpu.stat": "usage_usec 9000000\nuser_usec 7000000\nnr_periods 50\nnr_throttled 7\nthrottled_usec 2500000",
    }
    reader = tree(tmp_path, "0::/\n", [V2], files)
    assert reader.read() == CgroupReading(536870912, 104857600, 1.5, 2.5)
    assert reader.version() == 2


def test_the_narrowest_limit_on_the_way_up_counts_with_the_usage_of_its_group(tmp_path: Path) -> None:
    files = {
        "kubepods/memory.max": "8000",
        "kubepods/memory.current": "7000",
        "kubepods/cpu.max": "800000 100000",
        "kubepods/pod/memory.max": "2000",
        "kubepods/pod/memory.current": "1500",
        "kubepods/pod/cpu.max": "max 100000",
        "kubepods/pod/one/memory.max": "max",
        "kubepods/pod/one/memory.current": "900",
        "kubepods/pod/one/cpu.max": "50000 200000",
        "kubepods/pod/one/cpu.stat": "nr_periods 9\nthrottled_usec 1000",
    }
    assert tree(tmp_path, "0::/kubepods/pod/one\n", [V2], files).read() == CgroupReading(2000, 1500, 0.25, 0.001)


def test_version_1_with_its_own_units_and_its_own_word_for_unlimited(tmp_path: Path) -> None:
    mounts = [
        "40 31 0:40 / {mount}/memory rw - cgroup cgroup rw,memory",
        "41 31 0:41 / {mount}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
        "42 31 0:42 / {mount}/unified rw - cgroup2 cgroup2 rw",
    ]
    files = {
        "memory/docker/abc/memory.limit_in_bytes": "1073741824",
        "memory/docker/abc/memory.usage_in_bytes": "5000",
        "memory/docker/memory.limit_in_bytes": NO_LIMIT,
        "memory/memory.limit_in_bytes": NO_LIMIT,
        "memory/memory.usage_in_bytes": "77",
        "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "200000",
        "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
        "cpu,cpuacct/docker/abc/cpu.stat": "nr_periods 4\nnr_throttled 1\nthrottled_time 3000000000",
        "cpu,cpuacct/docker/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/docker/cpu.cfs_period_us": "100000",
        "unified/memory.max": "1",
    }
    groups = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/docker/abc\n"
    reader = tree(tmp_path, groups, mounts, files)
    assert reader.read() == CgroupReading(1073741824, 5000, 2.0, 3.0)
    assert reader.version() == 1


def test_a_container_of_version_1_that_is_shown_only_its_own_group(tmp_path: Path) -> None:
    mounts = ["40 31 0:40 /docker/abc {mount}/memory rw - cgroup cgroup rw,memory"]
    files = {"memory/memory.limit_in_bytes": "4096", "memory/memory.usage_in_bytes": "1024"}
    for path in ("/docker/abc", "/somewhere/else", "/../.."):
        assert tree(tmp_path, f"5:memory:{path}\n", mounts, files).read() == CgroupReading(4096, 1024)


def test_without_a_limit_there_is_the_usage_of_the_own_group_but_never_that_of_the_machine(tmp_path: Path) -> None:
    mounts = ["40 31 0:40 / {mount} rw - cgroup cgroup rw,memory"]
    files = {
        "memory.limit_in_bytes": NO_LIMIT,
        "memory.usage_in_bytes": "99999",
        "mine/memory.limit_in_bytes": NO_LIMIT,
        "mine/memory.usage_in_bytes": "64",
    }
    assert tree(tmp_path, "5:memory:/mine\n", mounts, files).read() == CgroupReading(None, 64)
    assert tree(tmp_path, "5:memory:/\n", mounts, files).read() == NOTHING


def test_the_group_is_looked_up_again_when_the_process_was_moved(tmp_path: Path) -> None:
    files = {"a/memory.max": "100", "a/memory.current": "1", "b/memory.max": "200", "b/memory.current": "2"}
    reader = tree(tmp_path, "0::/a\n", [V2], files)
    assert reader.read() == CgroupReading(100, 1)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/b\n")
    assert reader.read() == CgroupReading(200, 2)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cpu.max", "nonsense"),
        ("cpu.max", "100 0"),
        ("cpu.max", ""),
        ("cpu.stat", "throttled_usec\nthrottled_usec x"),
        ("memory.max", "much"),
        ("memory.current", ""),
    ],
)
def test_what_cannot_be_read_is_unknown_and_costs_nothing_else(tmp_path: Path, name: str, content: str) -> None:
    files = {"memory.max": "100", "memory.current": "1", "cpu.max": "1 2", "cpu.stat": "throttled_usec 1"}
    expected = tree(tmp_path, "0::/\n", [V2], files).read()
    found = tree(tmp_path, "0::/\n", [V2], files | {name: content}).read()
    assert found != expected
    if name.startswith("cpu"):
        assert (found.memory_limit_bytes, found.memory_usage_bytes) == (100, 1)
    else:
        assert (found.cpu_quota_cores, found.cpu_throttled_seconds) == (0.5, 1e-6)


def test_a_system_without_control_groups_has_no_limits(tmp_path: Path) -> None:
    nowhere = CgroupReader(str(tmp_path / "nothing"))
    assert (nowhere.read(), nowhere.version()) == (NOTHING, None)
    unmounted = tree(tmp_path, "5:memory:/a\n0::/a\nnonsense\n", ["31 23 - cgroup2"], {})
    assert (unmounted.read(), unmounted.version()) == (NOTHING, None)


@settings(max_examples=30)  # each makes files
@given(limits=st.lists(st.none() | st.integers(1, 10**12), min_size=1, max_size=5))
def test_whatever_the_limits_on_the_way_the_least_holds(tmp_path_factory: pytest.TempPathFactory, limits: list[int | None]) -> None:
    names = [str(Path(*[f"g{depth}" for depth in range(count + 1)])) for count in range(len(limits))]
    files = {f"{name}/memory.max": "max" if limit is None else str(limit) for name, limit in zip(names, limits, strict=True)}
    files |= {f"{name}/memory.current": str(number) for number, name in enumerate(names)}
    found = tree(tmp_path_factory.mktemp("groups"), f"0::/{names[-1]}\n", [V2], files).read()
    known = [limit for limit in limits if limit is not None]
    least = min(known, default=None)
    assert found.memory_limit_bytes == least
    users = [number for number, limit in enumerate(limits) if limit == least] if known else [len(limits) - 1]
    assert found.memory_usage_bytes in users


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has control groups")
def test_the_real_ones_are_read_as_they_stand() -> None:
    reader = CgroupReader()
    found = reader.read()
    assert reader.version() in (1, 2, None)
    for limit in (found.memory_limit_bytes, found.memory_usage_bytes, found.cpu_quota_cores):
        assert limit is None or limit > 0
    if found.memory_usage_bytes is not None and found.memory_limit_bytes is not None:
        assert found.memory_usage_bytes <= found.memory_limit_bytes
    assert found.cpu_throttled_seconds is None or found.cpu_quota_cores is not None
