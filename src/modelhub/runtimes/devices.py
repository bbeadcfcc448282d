"""What models could run on: the CPU, with the memory and the cores that this process may use.

A container's limits count. Sources: the kernel's `Documentation/admin-guide/cgroup-v2.rst` and
`cgroup-v1/memory.rst`, `proc(5)`. Memory in use is what Kubernetes calls the working set: what the
group holds minus the cached files that can go at once (`inactive_file`).
"""

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from modelhub.errors import InvalidInput
from modelhub.facts import Device

_ROOT = Path("/")


def devices() -> tuple[Device, ...]:
    """The devices of this machine, with what is free now."""
    return (cpu(),)


def find_device(name: str) -> Device:
    """The device of that name.

    Raises:
        InvalidInput: listing the devices that exist.
    """
    known = devices()
    for device in known:
        if device.name == name.lower():
            return device
    names = ", ".join(device.name for device in known)
    raise InvalidInput(
        f"no device {name!r:.40} on this machine", hint=f"Devices are: {names}.", field="device"
    )


def cpu(root: Path = _ROOT) -> Device:
    """The CPU as this process may use it; `root` is where `proc` and `sys` are."""
    memory = _memory(root)
    return Device(
        name="cpu",
        kind="cpu",
        description=_cpu_name(root),
        memory_total=memory.total,
        memory_free=memory.free,
        cores=_cores(root),
    )


class Memory(NamedTuple):
    """Bytes in all and bytes free."""

    total: int
    free: int

    def within(self, other: "Memory") -> "Memory":
        """What is left under both limits."""
        return Memory(min(self.total, other.total), max(0, min(self.free, other.free)))


def _memory(root: Path) -> Memory:
    text = _read(root / "proc/meminfo")
    machine = memory = parse_meminfo(text) if text else _sysconf_memory()
    for group in cgroups(root, "memory"):
        limit = _v2_memory(group.folder) if group.version == 2 else _v1_memory(group.folder)
        if limit and limit.total < machine.total:
            memory = memory.within(limit)
    return memory


def parse_meminfo(text: str) -> Memory:
    """MemTotal and MemAvailable of `/proc/meminfo`, in bytes."""
    rows = (line.split() for line in text.splitlines())
    sizes = {
        row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) >= 2 and row[1].isdecimal()
    }
    total = sizes.get("MemTotal", 0)
    return Memory(total, sizes.get("MemAvailable", sizes.get("MemFree", total)))


def _sysconf_memory() -> Memory:
    """Where there is no `/proc`: all of the memory, of which the system does not tell what is free."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES")
    free = page * os.sysconf("SC_AVPHYS_PAGES") if "SC_AVPHYS_PAGES" in os.sysconf_names else total
    return Memory(total, free)


def _v2_memory(folder: Path) -> Memory | None:
    limits = [
        limit for name in ("memory.max", "memory.high") if (limit := _number(folder / name)) is not None
    ]
    used = _number(folder / "memory.current")
    if not limits or used is None:
        return None
    reclaimable = parse_stat(_read(folder / "memory.stat")).get("inactive_file", 0)
    return Memory(min(limits), min(limits) - max(0, used - reclaimable))


def _v1_memory(folder: Path) -> Memory | None:
    limit, used = _number(folder / "memory.limit_in_bytes"), _number(folder / "memory.usage_in_bytes")
    if limit is None or used is None:
        return None
    reclaimable = parse_stat(_read(folder / "memory.stat")).get("total_inactive_file", 0)
    return Memory(limit, limit - max(0, used - reclaimable))


def _cores(root: Path) -> int:
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    for group in cgroups(root, "cpu"):
        quota = _v2_quota(group.folder) if group.version == 2 else _v1_quota(group.folder)
        if quota is not None:
            cores = min(cores, quota)
    return max(1, cores)


def _v2_quota(folder: Path) -> int | None:
    return parse_quota(*_read(folder / "cpu.max").split()[:2])


def _v1_quota(folder: Path) -> int | None:
    return parse_quota(
        _read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()
    )


def parse_quota(quota: str = "", period: str = "") -> int | None:
    """Whole cores that a CPU quota comes to, rounded up; `None` without one (`max`, `-1`)."""
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None
    return -(-int(quota) // int(period))


def parse_stat(text: str) -> dict[str, int]:
    """The lines `name number` of a group's `memory.stat`."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal()}


class Group(NamedTuple):
    """A control group that this process is in, or one above it."""

    version: int
    folder: Path


def cgroups(root: Path, controller: str) -> Iterator[Group]:
    """The groups that may limit `controller`, from the process's own up to the mounted root."""
    own = parse_cgroup(_read(root / "proc/self/cgroup"))
    for mount in parse_mountinfo(_read(root / "proc/self/mountinfo")):
        if mount.version == 1 and controller not in mount.controllers:
            continue
        path = own.get("" if mount.version == 2 else controller)
        if path is None:
            continue
        base = root / mount.point.lstrip("/")
        folder = base / _below(path, mount.root)
        yield Group(mount.version, folder)
        while folder != base:
            folder = folder.parent
            yield Group(mount.version, folder)


def _below(path: str, mount_root: str) -> str:
    """`path` seen from a mount whose own root may lie deeper, as in a container."""
    if mount_root == "/":
        below = path
    elif path == mount_root or path.startswith(mount_root + "/"):
        below = path[len(mount_root) :]
    else:
        below = ""  # another namespace: only the mount's own limits can be seen
    parts = [part for part in below.split("/") if part]
    return "" if ".." in parts else "/".join(parts)


def parse_cgroup(text: str) -> dict[str, str]:
    """`/proc/self/cgroup`: the path of each v1 controller, and of v2 under `""`."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon:
            paths |= dict.fromkeys(controllers.split(","), path)
    return paths


class Mount(NamedTuple):
    """Where a hierarchy of control groups is mounted, and which part of it."""

    version: int
    root: str
    point: str
    controllers: tuple[str, ...]


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """The mounts of control groups in `/proc/self/mountinfo`."""
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if len(fields) < 5 or kind[0] not in {"cgroup", "cgroup2"}:
            continue
        root, point = (_unescape(field) for field in fields[3:5])
        mounts.append(Mount(2 if kind[0] == "cgroup2" else 1, root, point, tuple(kind[-1].split(","))))
    return tuple(mounts)


def _unescape(field: str) -> str:
    """The kernel writes blanks and backslashes in paths as octal numbers."""
    for code in ("040", "011", "012", "134"):
        field = field.replace("\\" + code, chr(int(code, 8)))
    return field


def _cpu_name(root: Path) -> str:
    for line in _read(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _number(path: Path) -> int | None:
    """The number in a file; `None` where there is no file or no limit (`max`)."""
    text = _read(path).strip()
    return int(text) if text.isdecimal() else None


def _read(path: Path) -> str:
    """A file's text; nothing where the system has no such file or hides it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
