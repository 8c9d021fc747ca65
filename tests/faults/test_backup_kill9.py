"""`flask backup`, killed: the next backup deletes its temporary file, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.backup.folder_locks import LOCK_SECONDS_MAX, backup_folder
from server.backup.manifest import BackupError, new_private_file
from tests.faults.test_check_kill9 import flask, run, wait_until
from tests.support.places import new_folder
from tests.support.service import ROOT

STARTS = 20
NOBODY = 65534
"""The number of the user `nobody`."""
LEFTOVER = ".balcao-20261130T200000.123456Z.dump.0a1b2c3d"
WRITER = """
import sys, time
from pathlib import Path
from server.backup.folder_locks import backup_folder
from server.backup.manifest import new_private_file
from server.backup.tools import running_tool

folder = Path(sys.argv[1])
with backup_folder(folder) as place:
    with new_private_file(folder / "balcao-20261130T200000.123456Z.dump"):
        with running_tool(["sleep", "60"], {}, [place.lock] if sys.argv[2] == "tool" else []):
            time.sleep(60)
"""
"""A backup that stands still, with a tool that writes for it or without."""


def hidden_files(folder: Path) -> set[str]:
    """The names of the hidden files."""
    return {path.name for path in folder.glob(".*")}


def delete_leftovers(folder: Path) -> list[str]:
    """What a new backup deletes."""
    with backup_folder(folder) as place:
        return place.deleted


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that it has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in children.read_text(encoding="ascii").split()]


@pytest.mark.parametrize("writer", ["process", "tool"])
def test_a_file_stays_while_anybody_writes_it(tmp_path, writer):
    """A tool goes on for a while after the process that has started it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), writer],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    tools = list[int]()
    try:
        wait_until(lambda: bool(hidden_files(tmp_path)) and bool(children_of(process)))
        names, tools = hidden_files(tmp_path), children_of(process)
        assert delete_leftovers(tmp_path) == []
        process.kill()
        process.wait(10)
        if writer == "tool":
            assert delete_leftovers(tmp_path) == []
            assert hidden_files(tmp_path) == names
            os.kill(tools[0], signal.SIGKILL)
            wait_until(lambda: not is_alive(tools[0]))
        assert set(delete_leftovers(tmp_path)) == names
        assert hidden_files(tmp_path) == set()
    finally:
        process.kill()
        process.wait(10)
        for pid in tools:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for has ended too."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_files_of_others_stay(tmp_path):
    """Whatever they look like: a complete backup, its manifest, notes, links and folders."""
    theirs = [
        "balcao-20261130T200000.123456Z.dump",
        "balcao-20261130T200000.123456Z.dump.json",
        "balcao-20261130T200000.123456Z.dump.0a1b2c3d",
        ".balcao-20261130T200000.123456Z.dump",
        ".balcao-20261130T200000.123456Z.dump.letters",
        ".balcao-notes.0a1b2c3d",
        ".balcao.sqlite3.0a1b2c3d",
        ".letter.txt.0a1b2c3d",
    ]
    for name in theirs:
        (tmp_path / name).touch()
    (tmp_path / ".balcao-20261130T200000.123456Z.dump.00000001").symlink_to(tmp_path / theirs[0])
    (tmp_path / ".balcao-20261130T200000.123456Z.dump.00000002").mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    ours = {
        LEFTOVER,
        ".balcao-20261130T200000.123456Z.sql.gz.json.0a1b2c3d",
        ".balcao-20261130T200000.123456Z.sqlite3.0a1b2c3d",
        ".balcao-20261130T200000.123456Z.sqlite3.0a1b2c3d-journal",
    }
    for name in ours:
        (tmp_path / name).touch()
    assert set(delete_leftovers(tmp_path)) == ours
    assert {path.name for path in tmp_path.iterdir()} == before


def test_two_backups_share_the_folder_and_a_locked_one_is_a_sentence(tmp_path, monkeypatch):
    """Nobody waits for ever for a process that stands still."""
    with backup_folder(tmp_path), backup_folder(tmp_path) as second:
        (tmp_path / LEFTOVER).touch()
        assert second.deleted == delete_leftovers(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(BackupError, match="cannot be written"), backup_folder(tmp_path / "file"):
        pass
    holder = subprocess.Popen(["flock", "--exclusive", str(tmp_path), "sleep", "60"])
    try:
        wait_until(lambda: bool(children_of(holder)))
        monkeypatch.setattr("server.backup.folder_locks.LOCK_SECONDS_MAX", LOCK_SECONDS_MAX / 20)
        with pytest.raises(BackupError, match="locked by another"), backup_folder(tmp_path):
            pass
    finally:
        for pid in children_of(holder):
            os.kill(pid, signal.SIGKILL)
        holder.wait(10)


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder of a user without the rights of root, who is the user of this process meanwhile."""
    folder = new_folder("backups")
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_a_folder_for_writing_alone_takes_backups(own_folder):
    """Such a folder protects the backups of other users. It was refused as not writable."""
    (own_folder / LEFTOVER).touch()
    own_folder.chmod(0o300)
    with backup_folder(own_folder) as place, new_private_file(own_folder / "new") as temporary:
        temporary.write_text("rows")
    assert place.deleted == []
    assert (own_folder / "new").exists()
    assert (own_folder / LEFTOVER).exists()
    own_folder.chmod(0o000)
    with (
        pytest.raises(BackupError, match="cannot be written"),
        backup_folder(own_folder),
        new_private_file(own_folder / "other"),
    ):
        pass


@contextmanager
def stopped_backup(command: list[str], folder: Path) -> Iterator[str]:
    """A backup that stands still while it writes, and is then killed; its file's name."""
    for _ in range(STARTS):  # on a busy machine it may have ended before it is stopped
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            while process.poll() is None and not hidden_files(folder):
                time.sleep(0.0005)
            process.send_signal(signal.SIGSTOP)
            if names := hidden_files(folder):
                yield names.pop()
                return
        finally:
            process.kill()
            process.wait(10)
    raise AssertionError("no backup was stopped while it wrote")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_next_backup_deletes_the_file_of_a_killed_one(any_database_url, tmp_path):
    """It is as large as the database, hidden, and one more remained after each kill."""
    folder = tmp_path / "backups"
    command = flask(tmp_path / "instance", any_database_url, "backup", "--to", str(folder))
    with stopped_backup(command, folder) as name:
        beside = run(command)
        assert beside.returncode == 0, beside.stderr
        assert name in hidden_files(folder), "the other backup is alive"
    assert name in hidden_files(folder), "nobody has deleted it"

    def is_deleted() -> bool:  # a tool of the killed backup may go on for a moment
        after = run(command)
        assert after.returncode == 0, after.stderr
        return f"Deleted {name}, which a killed backup has left." in after.stderr

    wait_until(is_deleted)
    assert hidden_files(folder) == set()
