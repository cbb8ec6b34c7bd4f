"""How much memory this process may still take, by the machine and by its container."""

from __future__ import annotations

import os
from pathlib import Path

# Limit and use of a container: control groups of version 2, and of version 1.
GROUPS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def free_bytes(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that are free: what the machine has available, or what is left of a container's limit.

    Args:
        proc, groups: where Linux tells; elsewhere the system's own count of free pages is taken.
    """
    free = []
    try:
        for line in (proc / "meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free.append(1024 * int(line.split()[1]))
    except OSError:
        free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    for limit, used, stat in GROUPS:
        try:
            most = int((groups / limit).read_text("ascii"))  # "max" is no limit
            taken = int((groups / used).read_text("ascii"))
            # Pages of files that were read count as used, but make room at once.
            rows = dict(line.split() for line in (groups / stat).read_text("ascii").splitlines())
            free.append(most - taken + int(rows.get("inactive_file", 0)))
        except (OSError, ValueError):
            continue
    return max(0, min(free))
