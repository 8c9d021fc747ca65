"""The address and the API key: of the command line, the environment, or `balcao login`.

The file has mode 0600. A key is only ever sent to the address that it was stored with.
"""

from __future__ import annotations

import json
import os
import tempfile
from argparse import Namespace
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from balcao.cli.output import CommandFailed
from balcao.client import DEFAULT_URL, Balcao
from balcao.transport import RetryPolicy

_FILE_BYTES_MAX = 10_000


@dataclass(frozen=True)
class Access:
    """An address, and the API key for it if there is one."""

    url: str
    api_key: str | None


def file_path() -> Path:
    """Where `balcao login` stores the key: under XDG_CONFIG_HOME, by default ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME") or ""
    folder = Path(base) if Path(base).is_absolute() else Path.home() / ".config"
    return folder / "balcao" / "credentials.json"


def stored_access() -> Access | None:
    """What `balcao login` stored; None without a file. Raises CommandFailed for a broken one."""
    path = file_path()
    try:
        with path.open("rb") as file:
            members = json.loads(file.read(_FILE_BYTES_MAX))
        return Access(str(members["url"]), str(members["api_key"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandFailed(f"{path} cannot be read ({error}): run `balcao login`.") from None


def store(access: Access) -> Path:
    """Write the file, readable by its owner alone from its first byte. Raises CommandFailed."""
    path = file_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp creates the file with mode 0600; the rename replaces an old file in one step.
        number, name = tempfile.mkstemp(dir=path.parent, prefix=".credentials-")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump({"url": access.url, "api_key": access.api_key}, file)
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error}.") from None
    return path


def access_for(url: str | None) -> Access:
    """The address and its key.

    The environment's key belongs to the environment's address, or to any if it has none; the
    stored key belongs to the stored address.
    """
    variable_url = os.environ.get("BALCAO_URL")
    variable_key = os.environ.get("BALCAO_API_KEY")
    if variable_key and (url is None or variable_url is None or _same(url, variable_url)):
        return Access(url or variable_url or DEFAULT_URL, variable_key)
    stored = stored_access()
    target = url or variable_url or (stored.url if stored else DEFAULT_URL)
    key = stored.api_key if stored is not None and _same(target, stored.url) else None
    return Access(target, key)


def _same(first: str, second: str) -> bool:
    return first.strip().rstrip("/").lower() == second.strip().rstrip("/").lower()


def shop_of(args: Namespace) -> Balcao:
    """The client for the address of the command line. Raises CommandFailed.

    It retries less than a program: a person is waiting.
    """
    access = access_for(args.url)
    try:
        # An empty key, so that the environment's is not sent to another address.
        shop = Balcao(access.url, access.api_key or "", retries=RetryPolicy(attempts=3, base=0.3))
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    return shop
