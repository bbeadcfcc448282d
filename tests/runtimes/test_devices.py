import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import InvalidInput
from modelhub.runtimes import devices, find_device
from modelhub.runtimes.devices import (
    Memory,
    _sysconf_memory,
    cgroups,
    cpu,
    parse_cgroup,
    parse_meminfo,
    parse_mountinfo,
    parse_quota,
    parse_stat,
)

GIB = 1 << 30
MEMINFO = "MemTotal:       33554432 kB\nMemFree:         1048576 kB\nMemAvailable:   16777216 kB\nHugePages_Total:       0\n"
V2_MOUNT = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory\n"
)
UNLIMITED_V1 = 0x7FFFFFFFFFFFF000


class Machine:
    """A tree with `proc` and `sys` as the kernel shows them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/meminfo", MEMINFO)
        self.write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Zoo 9000\n")

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def group(self, path: str, **files: object) -> None:
        for name, text in files.items():
            self.write(f"{path}/{name.replace('__', '.')}", text)

    def v2(self, own: str, mounts: str = V2_MOUNT) -> None:
        self.write("proc/self/cgroup", f"0::{own}")
        self.write("proc/self/mountinfo", mounts)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def memory(machine: Machine) -> tuple[float, float]:
    """Total and free, in GiB."""
    device = cpu(machine.root)
    return device.memory_total / GIB, device.memory_free / GIB


def test_without_limits(machine: Machine) -> None:
    device = cpu(machine.root)
    assert (device.name, device.kind, device.description) == ("cpu", "cpu", "Zoo 9000")
    assert memory(machine) == (32, 16)
    assert device.cores == len(os.sched_getaffinity(0))


class TestV2:
    def test_a_limit_and_what_is_used_without_what_can_go(self, machine: Machine) -> None:
        machine.v2("/pod")
        machine.group(
            "sys/fs/cgroup/pod",
            memory__max=8 * GIB,
            memory__current=6 * GIB,
            memory__stat=f"anon {GIB}\ninactive_file {4 * GIB}",
        )
        assert memory(machine) == (8, 6)

    def test_every_group_above_counts(self, machine: Machine) -> None:
        machine.v2("/slice/pod/box")
        base = "sys/fs/cgroup/slice"
        machine.group(base, memory__max=4 * GIB, memory__current=3 * GIB, memory__stat="inactive_file 0")
        machine.group(f"{base}/pod", memory__max="max", memory__current=GIB, memory__stat="")
        machine.group(f"{base}/pod/box", memory__max=6 * GIB, memory__current=GIB, memory__stat="")
        assert memory(machine) == (4, 1)

    def test_a_larger_group_above_may_be_the_fuller_one(self, machine: Machine) -> None:
        machine.v2("/slice/pod")
        base = "sys/fs/cgroup/slice"
        machine.group(base, memory__max=8 * GIB, memory__current=7 * GIB, memory__stat="")
        machine.group(f"{base}/pod", memory__max=6 * GIB, memory__current=GIB, memory__stat="")
        assert memory(machine) == (6, 1)

    def test_the_soft_limit_counts(self, machine: Machine) -> None:
        machine.v2("/pod")
        machine.group(
            "sys/fs/cgroup/pod",
            memory__max=8 * GIB,
            memory__high=5 * GIB,
            memory__current=GIB,
            memory__stat="",
        )
        assert memory(machine) == (5, 4)

    def test_more_used_than_allowed_is_nothing_free(self, machine: Machine) -> None:
        machine.v2("/pod")
        machine.group("sys/fs/cgroup/pod", memory__max=GIB, memory__current=2 * GIB, memory__stat="")
        assert memory(machine) == (1, 0)

    def test_a_limit_above_the_machine_is_none(self, machine: Machine) -> None:
        machine.v2("/pod")
        machine.group(
            "sys/fs/cgroup/pod", memory__max=64 * GIB, memory__current=60 * GIB, memory__stat=""
        )
        assert memory(machine) == (32, 16)

    def test_seen_from_a_container_whose_mount_begins_deeper(self, machine: Machine) -> None:
        machine.v2("/docker/abc/inner", V2_MOUNT.replace(" / /sys", " /docker/abc /sys"))
        machine.group("sys/fs/cgroup", memory__max=2 * GIB, memory__current=GIB, memory__stat="")
        machine.group("sys/fs/cgroup/inner", memory__max="max", memory__current=GIB, memory__stat="")
        assert memory(machine) == (2, 1)

    def test_seen_from_another_namespace_the_mounts_own_limit_counts(self, machine: Machine) -> None:
        machine.v2("/../../elsewhere", V2_MOUNT.replace(" / /sys", " /docker/abc /sys"))
        machine.group("sys/fs/cgroup", memory__max=2 * GIB, memory__current=GIB, memory__stat="")
        assert memory(machine) == (2, 1)

    @pytest.mark.parametrize(
        ("quota", "cores"), [("50000 100000", 1), ("max 100000", None), ("0 0", None), ("", None)]
    )
    def test_a_cpu_quota(self, machine: Machine, quota: str, cores: int | None) -> None:
        machine.v2("/pod")
        machine.group("sys/fs/cgroup/pod", cpu__max=quota)
        assert cpu(machine.root).cores == (cores or len(os.sched_getaffinity(0)))


class TestV1:
    @pytest.fixture(autouse=True)
    def _mounted(self, machine: Machine) -> None:
        machine.write("proc/self/cgroup", "4:memory:/api/box\n3:cpu,cpuacct:/box\n0::/\n")
        machine.write("proc/self/mountinfo", V1_MOUNTS)

    def test_the_unlimited_value_is_no_limit(self, machine: Machine) -> None:
        machine.group(
            "sys/fs/cgroup/memory/api/box",
            memory__limit_in_bytes=UNLIMITED_V1,
            memory__usage_in_bytes=30 * GIB,
            memory__stat="",
        )
        assert memory(machine) == (32, 16)

    def test_a_limit_above_with_the_whole_trees_cache(self, machine: Machine) -> None:
        machine.group(
            "sys/fs/cgroup/memory/api",
            memory__limit_in_bytes=8 * GIB,
            memory__usage_in_bytes=5 * GIB,
            memory__stat=f"inactive_file 1\ntotal_inactive_file {3 * GIB}",
        )
        assert memory(machine) == (8, 6)

    @pytest.mark.parametrize(("quota", "cores"), [(-1, None), (10000, 1)])
    def test_a_cpu_quota(self, machine: Machine, quota: int, cores: int | None) -> None:
        machine.group(
            "sys/fs/cgroup/cpu,cpuacct/box", cpu__cfs_quota_us=quota, cpu__cfs_period_us=100000
        )
        assert cpu(machine.root).cores == (cores or len(os.sched_getaffinity(0)))

    def test_the_groups_from_the_own_up_to_the_mount(self, machine: Machine) -> None:
        base = machine.root / "sys/fs/cgroup/memory"
        assert [(group.version, group.folder) for group in cgroups(machine.root, "memory")] == [
            (1, base / "api/box"),
            (1, base / "api"),
            (1, base),
        ]


def test_nothing_to_read_falls_back_to_the_system(tmp_path: Path) -> None:
    device = cpu(tmp_path)
    assert device.memory_total == _sysconf_memory().total > 0
    assert 0 < device.memory_free <= device.memory_total


def test_where_the_system_does_not_tell_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf_names", {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 2})
    assert _sysconf_memory().free == _sysconf_memory().total


def test_where_there_is_no_affinity(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cpu(machine.root).cores == os.cpu_count()


def test_this_machine() -> None:
    (device,) = devices()
    assert device == find_device("CPU").model_copy(update={"memory_free": device.memory_free})
    assert 0 < device.memory_free <= device.memory_total
    assert device.cores
    assert 1 <= device.cores <= len(os.sched_getaffinity(0))


def test_an_unknown_device_lists_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="cuda:0") as caught:
        find_device("cuda:0")
    assert caught.value.hint == "Devices are: cpu."
    assert caught.value.details["field"] == "device"


def test_blanks_in_a_mount_point() -> None:
    (mount,) = parse_mountinfo(r"31 23 0:28 / /a\040b\134c rw - cgroup2 cgroup2 rw")
    assert mount.point == r"/a b\c"


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [
        ("100000", "100000", 1),
        ("100001", "100000", 2),
        ("-1", "100000", None),
        ("max", "1", None),
        ("5", "0", None),
    ],
)
def test_a_quota_in_whole_cores(quota: str, period: str, cores: int | None) -> None:
    assert parse_quota(quota, period) == cores


@given(st.text())
def test_no_parser_stumbles_over_what_it_does_not_know(text: str) -> None:
    assert isinstance(parse_meminfo(text), Memory)
    assert isinstance(parse_stat(text), dict)
    assert isinstance(parse_cgroup(text), dict)
    assert isinstance(parse_mountinfo(text), tuple)
    parse_quota(*text.split()[:2])


@given(st.integers(1, 1 << 40), st.integers(0, 1 << 40))
def test_meminfo_is_in_kilobytes(total: int, available: int) -> None:
    text = f"MemTotal: {total} kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n"
    assert parse_meminfo(text) == (total * 1024, available * 1024)
