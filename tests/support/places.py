"""The folder for the tests' files: in memory if there is room.

Waiting for the disk at each commit would take most of the tests' time. Files in memory survive a
killed process as files on a disk do; only a power cut makes a difference.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a mount, not a guessable file
ROOM_BYTES = 3 * 1024**3
"""The free space and memory needed: several servers and the files of every test."""
PREFIX = "balcao-"


@lru_cache(maxsize=1)
def root() -> Path:
    """The folder for temporary files: in memory, or else the system's."""
    if "TMPDIR" not in os.environ and _has_room():
        return MEMORY
    return Path(tempfile.gettempdir())


def new_folder(name: str) -> Path:
    """Create a folder for this process; remove the folders of processes that have ended."""
    for folder in root().glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{name}-", dir=root()))


def _has_room() -> bool:
    # Only Linux has both; other systems use their own temporary folder.
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
