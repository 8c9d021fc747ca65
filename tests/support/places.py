"""Where the tests keep their files: in memory where there is room, since nothing has to last.

A disk that is waited for at each commit costs the tests more than everything else. What a killed
process wrote is kept in memory as on a disk; only a power cut would tell the two apart.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - not a name that somebody else could take: a mount
ROOM_BYTES = 3 * 1024**3
"""What must be free there, and as memory: several servers and every test's files."""
PREFIX = "balcao-"


@lru_cache(maxsize=1)
def root() -> Path:
    """The folder for everything temporary: in memory, or else the system's."""
    if "TMPDIR" not in os.environ and _has_room():
        return MEMORY
    return Path(tempfile.gettempdir())


def new_folder(name: str) -> Path:
    """A new folder of this process; those of processes that are gone are removed."""
    for folder in root().glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{name}-", dir=root()))


def _has_room() -> bool:
    # Only Linux has both; elsewhere the system's folder is as good as any.
    try:
        is_memory = any(
            line.split()[1:3] == [str(MEMORY), "tmpfs"]
            for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
        )
        meminfo = Path("/proc/meminfo").read_text(encoding="utf-8")
        free = next(line.split()[1] for line in meminfo.splitlines() if "MemAvailable" in line)
        return (
            is_memory
            and os.access(MEMORY, os.W_OK)
            and min(shutil.disk_usage(MEMORY).free, int(free) * 1024) >= ROOM_BYTES
        )
    except (OSError, StopIteration):
        return False
