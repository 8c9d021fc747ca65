"""The folder of backups while one is written, and what a killed backup has left in it.

A command that writes a backup holds a shared lock of the folder, and so do its tools, because they
can outlive a command that is killed. A command that gets the lock alone knows that nobody writes.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from server.backup.manifest import BackupError

LOCK_SECONDS_MAX = 10.0
"""How long a backup waits for another one that looks for leftovers."""
_LOCK_POLL_SECONDS = 0.05
_LEFTOVER = re.compile(
    r"\.balcao-\d{8}T\d{6}\.\d{6}Z\.(sqlite3|sql\.gz|dump)(\.json)?\.[0-9a-f]{8}"
    r"(-journal|-wal|-shm)?",
    re.ASCII,
)
"""The temporary name of a backup or its manifest (`new_private_file`), and SQLite's logs."""


class BackupFolder(NamedTuple):
    """A folder into which this process may write a backup."""

    lock: int
    """The descriptor of the lock, which a tool that writes a file must inherit."""
    deleted: list[str]
    """The names of the files of killed backups that were deleted."""


@contextmanager
def backup_folder(folder: Path) -> Iterator[BackupFolder]:
    """Create the folder if it is missing, delete leftovers if nobody writes there, and lock it.

    Where the file system has no locks, or the folder cannot be listed, nothing is deleted. Raises
    BackupError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _opened(folder)
    except OSError as error:
        raise BackupError(f"{folder} cannot be written: {error.strerror}.") from None
    try:
        deleted: list[str] = []
        with suppress(OSError):  # another backup is written, or there are no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            deleted = _delete_leftovers(descriptor)
        _share(descriptor, folder)
        yield BackupFolder(descriptor, deleted)
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        # A folder may be for writing alone. Without O_PATH the system has no way to open it; with
        # it, every lock fails as on a file system without locks.
        if not hasattr(os, "O_PATH"):
            raise
        return os.open(folder, os.O_PATH | os.O_DIRECTORY)


def _share(descriptor: int, folder: Path) -> None:
    limit = time.monotonic() + LOCK_SECONDS_MAX
    while time.monotonic() < limit:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_POLL_SECONDS)
        except OSError:
            return  # no locks: nobody deletes anything
        else:
            return
    raise BackupError(f"{folder} is locked by another process.")


def _delete_leftovers(descriptor: int) -> list[str]:
    names = []
    for name in os.listdir(descriptor):
        if not _LEFTOVER.fullmatch(name):
            continue
        with suppress(OSError):
            facts = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid():
                os.unlink(name, dir_fd=descriptor)
                names.append(name)
    return sorted(names)
