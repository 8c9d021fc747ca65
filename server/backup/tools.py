"""Running the tools of the database engines.

Passwords are in files of memory or private files, never in arguments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from repository.backups import PostgresPlace, address_of
from server.backup.manifest import BackupError

_POSTGRES_FOLDERS = Path("/usr/lib/postgresql")
_OWN_FILES = Path("/proc/self/fd")
"""The open files of the process that looks."""


def find_tool(*names: str, package: str) -> str:
    """The path of the first of these programs. Raises BackupError that names Debian's package."""
    versions = sorted(_POSTGRES_FOLDERS.glob("*/bin"), key=_version, reverse=True)
    folders = os.pathsep.join(map(str, versions))
    for name in names:
        if path := shutil.which(name, path=folders) or shutil.which(name):
            return path
    raise BackupError(f"{names[0]} is not installed (Debian: apt install {package}).")


class ToolOptions(NamedTuple):
    """How a tool reaches a database; `running_tool` takes the last two as they are."""

    arguments: list[str]
    """The first arguments of the tool."""
    variables: dict[str, str]
    descriptors: list[int]
    """What the tool must inherit."""


@contextmanager
def mysql_options(url: str) -> Iterator[ToolOptions]:
    """An argument that names a private file with host, user, password and the options of TLS."""
    address = address_of(url)
    query = address.query
    values = {
        "host": address.host or "127.0.0.1",
        "port": str(address.port or 3306),
        "protocol": "socket" if "unix_socket" in query else "tcp",
        "socket": query.get("unix_socket"),
        **_mysql_tls(query),
        "user": address.username,
        "password": address.password,
        "default-character-set": "utf8mb4",
    }
    lines = ["[client]"]
    for name, value in values.items():
        if value is not None:
            escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'{name}="{escaped}"')
    with _private_text("\n".join(lines) + "\n") as (path, descriptors):
        yield ToolOptions([f"--defaults-extra-file={path}"], {}, descriptors)


def check_mysql_tool(tool: str, url: str) -> None:
    """Raise BackupError if this tool might connect without TLS where the driver would refuse.

    The driver needs TLS as soon as an address has any option of TLS. The tools of MariaDB need it
    only if they check the host name too; otherwise they go on in plain text.
    """
    mode = _ssl_mode(address_of(url).query)
    if mode in ("VERIFY_CA", "REQUIRED") and _is_of_mariadb(tool):
        raise BackupError(
            f"{Path(tool).name} would accept a connection without TLS for the ssl options of "
            "DATABASE_URL: use ssl_ca or ssl_capath without ssl_check_hostname=false, or install "
            "the client of MySQL instead of that of MariaDB."
        )


def _is_of_mariadb(tool: str) -> bool:
    with running_tool([tool, "--version"]) as pipes:
        return b"MariaDB" in pipes.output.read()


def _ssl_mode(query: Mapping[str, Any]) -> str | None:
    """What the driver does for these options, as the tools of MySQL name it.

    None without an option of TLS: then the connection is encrypted if the server can.
    """
    if query.get("ssl_disabled"):
        return "DISABLED"
    if "ssl_ca" in query or "ssl_capath" in query:
        is_any_host = query.get("ssl_check_hostname") == "false"
        return "VERIFY_CA" if is_any_host else "VERIFY_IDENTITY"
    return "REQUIRED" if any(name.startswith("ssl_") for name in query) else None


def _mysql_tls(query: Mapping[str, Any]) -> dict[str, str | None]:
    """The options of TLS of the driver (`setting_urls`), as the tools name them.

    With an authority the driver checks the host name too, unless it is told not to. The tools of
    MariaDB and of MySQL have different options for that, so each may ignore the other's.
    """
    mode = _ssl_mode(query)
    if mode == "DISABLED":
        return {"loose-skip-ssl": "1", "loose-ssl-mode": mode}
    names = ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher")
    options = {name.replace("_", "-"): query.get(name) for name in names}
    options["loose-ssl-mode"] = mode
    if mode == "VERIFY_IDENTITY":
        options["loose-ssl-verify-server-cert"] = "on"
    return options


@contextmanager
def postgres_options(place: PostgresPlace) -> Iterator[ToolOptions]:
    """Arguments with host, port, user and database, and variables for the password's file and TLS.

    `place` is where the driver connects to for an address: by a socket's folder, or by variables of
    libpq, if the address names no host.
    """
    arguments = [
        f"--host={place.host}",
        f"--port={place.port}",
        f"--username={place.user}",
        f"--dbname={place.database}",
        "--no-password",
    ]
    password = place.password.replace("\\", "\\\\").replace(":", "\\:")
    with _private_text(f"*:*:*:*:{password}\n") as (path, descriptors):
        tls = {f"PG{name.upper()}": value for name, value in place.tls.items()}
        yield ToolOptions(arguments, {"PGPASSFILE": path, **tls}, descriptors)


@contextmanager
def _private_text(text: str) -> Iterator[tuple[str, list[int]]]:
    """The path of a file with this text that only we can read, and what a tool must inherit.

    The file is in memory where the system has such files: then a killed backup leaves nothing.
    """
    descriptor = _memory_file()
    if descriptor is not None:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            yield f"{_OWN_FILES}/{descriptor}", [descriptor]
        return
    with tempfile.TemporaryDirectory(prefix="balcao-") as folder:  # mode 700
        path = Path(folder) / "client"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        yield str(path), []


def _memory_file() -> int | None:
    if not (hasattr(os, "memfd_create") and _OWN_FILES.is_dir()):
        return None
    try:
        descriptor = os.memfd_create("balcao-client")
    except OSError:  # a kernel or a sandbox without it
        return None
    os.fchmod(descriptor, 0o600)  # libpq ignores a file that others can read
    return descriptor


class Pipes(NamedTuple):
    """The standard input and output of a running tool."""

    input: IO[bytes]
    output: IO[bytes]


@contextmanager
def running_tool(
    command: Sequence[str],
    variables: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> Iterator[Pipes]:
    """Run a tool and wait for its end; an exception in the block kills it.

    The tool inherits `descriptors`. Raises BackupError with the last line of its
    errors.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - the engines' own programs
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **(variables or {})},
            pass_fds=descriptors,
        )
        pipes = Pipes(cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout))
        try:
            yield pipes
            with suppress(BrokenPipeError):
                pipes.input.close()
            pipes.output.read()
        except BaseException:
            process.kill()
            raise
        finally:
            status = process.wait()
            pipes.output.close()
        if status != 0:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1].rstrip(".") if lines else "it printed no reason"
            raise BackupError(f"{Path(command[0]).name} failed: {reason}.")


def run_tool(
    command: Sequence[str], variables: Mapping[str, str], descriptors: Sequence[int] = ()
) -> None:
    """Run a tool that reads and writes files. Raises BackupError."""
    with running_tool(command, variables, descriptors):
        pass


def _version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0
