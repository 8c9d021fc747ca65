"""Private database and Redis servers, started for one test or one run and removed afterwards.

Each server has its own folder (see `places`) and a free loopback port. Fault tests can stop, kill
and restart it with its data. It ends with this process, even if this process is killed.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import sqlalchemy as sa
from redis import Redis
from redis.exceptions import RedisError

from tests.support.parts import MissingPart
from tests.support.places import new_folder
from tests.support.ports import free_port

START_SECONDS = 60
STOP_SECONDS = 30
POLL_SECONDS = 0.05
LOG_TAIL_CHARACTERS = 2000


class ServerDidNotStart(Exception):
    """A server is installed but did not start; the text ends with its log."""


def find_program(*names: str, folders: Sequence[str] = ()) -> str | None:
    """The path of the first of these programs in PATH, /usr/sbin or the given folders."""
    searched = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", *folders])
    return next((path for name in names if (path := shutil.which(name, path=searched))), None)


def answers(url: sa.URL, probe: str = "SELECT 1") -> bool:
    """Whether a database server at this address accepts us and runs the probe."""
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=_quick(url))
    try:
        with engine.connect() as connection:
            connection.execute(sa.text(probe))
    except (sa.exc.SQLAlchemyError, OSError):
        return False
    return True


def redis_answers(url: str) -> bool:
    """Whether a Redis at this address accepts us."""
    with Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2) as connection:
        try:
            return bool(connection.ping())
        except RedisError:
            return False


def _quick(url: sa.URL) -> dict[str, float]:
    return {"timeout" if url.get_driver_name() == "pg8000" else "connect_timeout": 3}


class PrivateServer(ABC):
    """A private server: `start`, `stop`, `kill`, `restart`, and its `url`.

    The address and the data stay the same between starts, until `remove`. Raises MissingPart if
    the program is not installed. As a context manager it starts and removes the server.
    """

    name: ClassVar[str]
    polite_signal: ClassVar[signal.Signals] = signal.SIGTERM
    account: ClassVar[str | None] = None
    """The account to run as if we are root and the server refuses to run as root."""

    def __init__(self) -> None:
        self.program = self._find_program()
        # Not pytest's folder: the server's account cannot enter it, and the path of a
        # Unix socket must stay short.
        self.folder = new_folder(self.name)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._user = self._account_to_use()
        if self._user is not None:
            shutil.chown(self.folder, self._user)

    @property
    @abstractmethod
    def url(self) -> str:
        """The server's address: a SQLAlchemy URL without our database, or a Redis URL."""

    @property
    def process_id(self) -> int:
        """The process id of the server. Raises ServerDidNotStart if it is not running."""
        if self._process is None:
            raise ServerDidNotStart(f"{self.name} is not running")
        return self._process.pid

    def is_running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server, the first time with an empty data folder; wait until it answers.

        Raises ServerDidNotStart with the end of its log.
        """
        if not self.data.exists():
            self._prepare()
        deadline = time.monotonic() + START_SECONDS
        self._spawn()
        while not self._answers():
            if time.monotonic() > deadline:
                self.kill()
                raise ServerDidNotStart(f"{self.name} did not answer:\n{self._log_tail()}")
            if not self.is_running():
                # After a kill the old process's memory or lock may remain for a moment.
                if time.monotonic() > deadline - START_SECONDS / 2:
                    raise ServerDidNotStart(f"{self.name} ended at once:\n{self._log_tail()}")
                self._spawn()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop the server in good order: open transactions are rolled back."""
        self._end(self.polite_signal)

    def kill(self) -> None:
        """End the server with SIGKILL, as in a crash."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start the server at the same address with the same data."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Kill the server if it runs, and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    @abstractmethod
    def _find_program(self) -> str:
        """The path of the server's program. Raises MissingPart."""

    def _prepare(self) -> None:
        self.data.mkdir(mode=0o700)

    @abstractmethod
    def _command(self) -> list[str]:
        """The command that runs the server in the foreground."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server answers requests."""

    def _account_to_use(self) -> str | None:
        if self.account is None or os.geteuid() != 0:
            return None
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(self.account).pw_name
        return "nobody"

    def _run(self, command: Sequence[str]) -> None:
        """Run a preparatory command as the server's account and wait for its end."""
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=START_SECONDS, check=False,
            cwd=self.folder, user=self._user, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if process.returncode != 0:
            raise ServerDidNotStart(f"{' '.join(command)}\n{process.stdout}\n{process.stderr}")

    def _spawn(self) -> None:
        command = self._command()
        # The kernel ends the server with this process, even if this process is killed.
        if setpriv := find_program("setpriv"):
            command = [setpriv, "--pdeathsig", "KILL", "--", *command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                user=self._user, start_new_session=True,
            )  # fmt: skip

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(with_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)

    def _log_tail(self) -> str:
        if not self.log.exists():
            return ""
        return self.log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:]


class PrivateMariaDB(PrivateServer):
    """MariaDB's server: root without a password, utf8mb4, default isolation."""

    name = "mariadb"
    account = "mysql"

    @property
    def url(self) -> str:
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/?charset=utf8mb4"

    def _find_program(self) -> str:
        program = find_program("mariadbd")
        if program is None or find_program("mariadb-install-db") is None:
            raise MissingPart("MariaDB (apt install mariadb-server, or set MYSQL_URL)")
        return program

    def _prepare(self) -> None:
        install = find_program("mariadb-install-db")
        self._run([
            str(install), "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--skip-name-resolve",
            f"--tmpdir={self.folder}",
        ])  # fmt: skip

    def _command(self) -> list[str]:
        # A flush to the disk at each commit protects against a power cut, not against a kill.
        # Without it the tests are faster, and a killed server still keeps its commits.
        # A server that starts deletes temporary tables in its `tmpdir`, also those of others.
        return [
            self.program, "--no-defaults", f"--datadir={self.data}", "--bind-address=127.0.0.1",
            f"--port={self.port}", f"--socket={self.folder / 'socket'}", "--skip-name-resolve",
            f"--pid-file={self.folder / 'pid'}", "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=64M", "--max-connections=300", "--skip-log-bin",
            f"--tmpdir={self.folder}",
        ]  # fmt: skip

    def _answers(self) -> bool:
        return answers(sa.make_url(self.url))


class PrivatePostgreSQL(PrivateServer):
    """PostgreSQL's server: superuser `postgres`, trusted on loopback."""

    name = "postgres"
    account = "postgres"
    polite_signal = signal.SIGINT  # "fast": disconnects clients instead of waiting for them

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def _find_program(self) -> str:
        # Debian has a folder for each version, outside PATH; the newest version is used.
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
        program = find_program("postgres", folders=[str(folder) for folder in folders])
        if program is None:
            raise MissingPart("PostgreSQL (apt install postgresql, or set POSTGRES_URL)")
        return program

    def _prepare(self) -> None:
        initdb = Path(self.program).resolve().with_name("initdb")
        self._run([
            str(initdb), "--pgdata", str(self.data), "--username=postgres", "--auth=trust",
            "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
        ])  # fmt: skip

    def _command(self) -> list[str]:
        # fsync protects against a power cut; a killed server keeps its commits without it.
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "",
            "fsync": "off", "max_connections": 300,
        }  # fmt: skip
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [self.program, "-D", str(self.data), *options]

    def _answers(self) -> bool:
        return answers(sa.make_url(self.url))


class PrivateStandby(PrivatePostgreSQL):
    """A standby of a running primary: a copy of its data that follows it."""

    def __init__(self, primary: PrivatePostgreSQL) -> None:
        super().__init__()
        self._primary = primary

    def promote(self) -> None:
        """Make it a primary that waits for no standby, as an operator does by hand."""
        control = Path(self.program).resolve().with_name("pg_ctl")
        self._run([str(control), "promote", "-w", "-D", str(self.data)])

    def _prepare(self) -> None:
        copy = Path(self.program).resolve().with_name("pg_basebackup")
        self._run([
            str(copy), "--host=127.0.0.1", f"--port={self._primary.port}", "--username=postgres",
            f"--pgdata={self.data}", "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
        ])  # fmt: skip


class PrivateRedis(PrivateServer):
    """Redis in memory only: it loses its data at a stop, as a cache does."""

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _find_program(self) -> str:
        program = find_program("redis-server", "valkey-server")
        if program is None:
            raise MissingPart("Redis (apt install redis-server, or set TEST_REDIS_URL)")
        return program

    def _command(self) -> list[str]:
        return [
            self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", str(self.data),
        ]  # fmt: skip

    def _answers(self) -> bool:
        return redis_answers(self.url)


def _version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


PRIVATE_SERVERS: dict[str, Callable[[], PrivateServer]] = {
    "mysql": PrivateMariaDB,
    "postgres": PrivatePostgreSQL,
    "redis": PrivateRedis,
}
