"""Folders for restored copies of SQLite, also if the process of a check is killed.

A folder has its name only once it is locked and marked, so nobody finds it without its lock. A
folder with our marker and without its lock is a leftover, and the next check deletes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER_PREFIX = "balcao-check-"
COPY = "copy.sqlite3"
MARKER = "balcao-check-marker"
_FOLDER = re.compile(rf"{FOLDER_PREFIX}[a-z0-9_]{{8}}")
_OUR_FILE = re.compile(rf"{re.escape(MARKER)}|\.?{re.escape(COPY)}([.-][a-z0-9]+)?")
"""The marker, the copy, its log, and the name under which the copy is written."""


@contextmanager
def copy_folder(parent: Path) -> Iterator[Path]:
    """A new folder of mode 700 there, locked by this process and deleted at the end."""
    name = FOLDER_PREFIX + secrets.token_hex(4)
    # A process that is killed before the renaming leaves an empty hidden folder, which nobody
    # deletes: the owner of a folder without our marker is unknown.
    hidden, folder = parent / f".{name}", parent / name
    hidden.mkdir(mode=0o700)
    try:
        with _locked(hidden) as descriptor:
            os.close(os.open(MARKER, os.O_CREAT | os.O_EXCL, 0o600, dir_fd=descriptor))
            hidden.rename(folder)
            try:
                yield folder
            finally:
                _delete(folder, descriptor)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)  # is there only if the renaming has failed


def delete_leftovers(parent: Path) -> list[str]:
    """Delete the folders of ended processes there; return their names.

    A folder is deleted if it has our marker and no file but ours, and nobody holds its lock.
    """
    names = []
    for folder in parent.iterdir():
        if _FOLDER.fullmatch(folder.name):
            with suppress(OSError), _locked(folder) as descriptor:  # held by a check that runs
                if _is_ours(_entries(descriptor)):
                    _delete(folder, descriptor)
                    names.append(folder.name)
    return names


def _entries(descriptor: int) -> list[str]:
    return os.listdir(descriptor)  # of the locked folder, whatever its name is now


def _is_ours(names: list[str]) -> bool:
    return MARKER in names and all(_OUR_FILE.fullmatch(name) for name in names)


def _delete(folder: Path, descriptor: int) -> None:
    """Delete our files, then the folder. Raises OSError if it has another file."""
    names = [name for name in _entries(descriptor) if _OUR_FILE.fullmatch(name)]
    # The marker is last: a process that is killed in between leaves a folder that is still ours.
    for name in sorted(names, key=lambda name: name == MARKER):
        os.unlink(name, dir_fd=descriptor)
    folder.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold the lock of a folder, which ends with the process; give its descriptor.

    Raises OSError if the lock is taken, or if this is no folder.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)
