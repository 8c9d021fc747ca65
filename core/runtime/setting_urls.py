"""The rules for addresses in settings. Each function raises ValueError with a part of a sentence.

The part follows the setting's name: *DATABASE_URL* `has a port that is not a number`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from core.pix.br_code import BrCodeError
from core.pix.br_code.location import LOCATION_CHARACTERS_MAX, check_location
from core.runtime.database_hosts import HOSTS
from core.runtime.sentinel_url import SENTINEL_SCHEMES, is_sentinel_url, parse_sentinel_url

_LONGEST_PATH = "/qr/v2/cobv/" + "0" * 32
_PAYABLE_MAX = LOCATION_CHARACTERS_MAX - len(_LONGEST_PATH)
_SCHEMES = ("sqlite", "mysql+pymysql", "mariadb+pymysql", "postgresql+psycopg")
_SHORT_SCHEMES = {
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+pg8000": "postgresql+psycopg",
}
_REDIS_SCHEMES = ("redis://", "rediss://", "unix://", *SENTINEL_SCHEMES)
_MYSQL_CHARSET = "utf8mb4"
_HOSTS_MAX = 9
_FORBIDDEN_OPTIONS = ("use_unicode", "init_command", "sql_mode", "autocommit", "conv")
"""Options of the MySQL driver that lose letters, cut text silently or end transactions early."""
_MISREAD_OPTIONS = ("ssl_verify_cert", "ssl_verify_identity", "ssl_key_password")
"""With one of the first two the driver ignores `ssl_ca`. It ignores the third, the password of the
key, and asks for it on the terminal."""
_TLS_OPTIONS = (
    "ssl_ca",
    "ssl_capath",
    "ssl_cert",
    "ssl_key",
    "ssl_cipher",
    "ssl_check_hostname",
    "ssl_disabled",
)
"""The options of TLS of an address of MySQL or MariaDB."""
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9\-]{0,63}", re.ASCII)
_PASSWORD_OPTIONS = ("password", "passwd", "pwd", "sslpassword", "oauth_client_secret")
_ENCODED_CHARACTERS = "@ as %40, / as %2F, # as %23, ? as %3F and : as %3A"


class TlsSettings(Protocol):
    """The settings of mutual TLS."""

    @property
    def port(self) -> int: ...
    @property
    def tls_port(self) -> int | None: ...
    @property
    def client_certificate_header(self) -> str | None: ...
    @property
    def trusted_proxies(self) -> int: ...


def checked_http_url(value: str) -> str:
    """An http or https address without a slash at its end."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user or a password")
    if "?" in value or "#" in value:
        raise ValueError("must not contain ? or #")
    if re.search(r"[\s\x00-\x1f\x7f\\]", value):
        raise ValueError("must not contain spaces or backslashes")
    _check_port(value)
    return value.rstrip("/")


def checked_public_url(value: str) -> str:
    """An address that codes can contain: a host with a dot, and no path."""
    parts = urlsplit(value)
    if parts.path.strip("/"):
        raise ValueError(
            "must not contain a path: give the service a host name of its own, such as "
            "https://pay.example.com"
        )
    if not parts.netloc.isascii():
        raise ValueError("must be written in ASCII: write the host name as xn--…")
    base = location_base(value)
    if parts.hostname != "localhost" and "." not in (parts.hostname or ""):
        raise ValueError("needs a host with a dot, or no bank can read the QR codes")
    if len(base) > _PAYABLE_MAX:
        raise ValueError(f"must have at most {_PAYABLE_MAX} characters after the scheme")
    try:
        check_location(base + _LONGEST_PATH)
    except BrCodeError:
        raise ValueError("has a host that no BR Code can contain") from None
    return value


@lru_cache(maxsize=16)
def location_base(public_url: str) -> str:
    """The host and port of BR Codes; `localhost` is written as 127.0.0.1.

    A location's host needs a dot (Manual de Padrões para Iniciação do Pix, 2.5.2).
    """
    parts = urlsplit(public_url)
    if parts.hostname == "localhost":
        return parts.netloc.lower().replace("localhost", "127.0.0.1", 1)
    return parts.netloc


def checked_redis_url(value: str) -> str:
    """An address of Redis, or of its sentinels."""
    if not value.startswith(_REDIS_SCHEMES):
        raise ValueError(f"must begin with one of {', '.join(_REDIS_SCHEMES)}")
    _check_password(value)
    if is_sentinel_url(value):
        parse_sentinel_url(value)
    else:
        _check_port(value)
    return value


def checked_database_url(value: str) -> str:
    """An address of a database with its driver; MySQL gets `charset=utf8mb4`.

    A list of hosts becomes the option `hosts`; the first of them stays in the address.
    """
    scheme, separator, rest = value.partition("://")
    scheme = _SHORT_SCHEMES.get(scheme, scheme)
    if not separator or scheme not in _SCHEMES:
        raise ValueError(f"must begin with one of {', '.join(s + '://' for s in _SCHEMES)}")
    if scheme == "sqlite":
        return value
    _check_password(value)
    rest = _with_hosts(rest)
    _check_port(f"{scheme}://{rest}")
    _check_seconds(rest, is_mysql="pymysql" in scheme)
    if "pymysql" in scheme:
        _check_mysql_tls(rest)
        rest = _with_charset(rest)
    return f"{scheme}://{rest}"


def password_in(url: str | None) -> str:
    """The password in an address, decoded; empty if there is none."""
    return unquote(urlsplit(url).password or "") if url else ""


def _with_hosts(rest: str) -> str:
    """Move a list of hosts from its place in the address into the option `hosts`."""
    end = re.search(r"[/?]", rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    user_info, at_sign, places = authority.rpartition("@")
    if "," not in places:
        return rest
    hosts = places.split(",")
    if len(hosts) > _HOSTS_MAX:
        raise ValueError(f"has a list of more than {_HOSTS_MAX} hosts")
    for host in hosts:
        _check_port(f"//{host}")
        if not urlsplit(f"//{host}").hostname or host != host.strip():
            raise ValueError(
                "has a list with an empty host or a space: write host1,host2 or "
                "host1:3306,host2:3306"
            )
    if len(set(hosts)) < len(hosts):
        raise ValueError("names a host twice in its list")
    separator = "&" if "?" in tail else "?"
    return f"{user_info}{at_sign}{hosts[0]}{tail}{separator}{HOSTS}={places}"


def _with_charset(rest: str) -> str:
    options = parse_qsl(rest.partition("?")[2], keep_blank_values=True)
    for name, value in options:
        if name in _FORBIDDEN_OPTIONS:
            raise ValueError(f"must not contain the option {name}: remove it")
        if name == "charset" and value.lower() != _MYSQL_CHARSET:
            raise ValueError(
                f"has the option charset={value[:20]}, which loses letters: remove it, or write "
                f"charset={_MYSQL_CHARSET}"
            )
    if any(name == "charset" for name, _ in options):
        return rest
    return f"{rest}{'&' if '?' in rest else '?'}charset={_MYSQL_CHARSET}"


def _check_password(url: str) -> None:
    """Find a password that is not percent-encoded: the address then ends in its middle.

    A password among the options is refused, because logs print them.
    """
    if any(name.lower() in _PASSWORD_OPTIONS for name, _ in parse_qsl(urlsplit(url).query)):
        raise ValueError("has its password among the options: write user:password@host instead")
    rest = url.partition("://")[2]
    head, _, options = rest.partition("?")
    if "@" not in options or re.match(r"\w+=", options):
        rest = head
    user_info, at_sign, _ = rest.rpartition("@")
    _, colon, password = user_info.partition(":")
    if at_sign and colon and re.search(r"[@/#?]", password):
        raise ValueError(
            "has a password with @, /, # or ?: percent-encode the password, "
            f"so write {_ENCODED_CHARACTERS}"
        )


def _check_seconds(rest: str, *, is_mysql: bool) -> None:
    """Find limits of time that the drivers refuse only when they connect, with a traceback."""
    names = ("connect_timeout", "read_timeout", "write_timeout") if is_mysql else ("read_timeout",)
    for name, value in parse_qsl(rest.partition("?")[2], keep_blank_values=True):
        if name in names and not re.fullmatch(r"[1-9][0-9]{0,5}", value):
            raise ValueError(f"has an option {name} that is not a whole number of seconds from 1")


def _check_mysql_tls(rest: str) -> None:
    """Find options of TLS that the driver ignores or misreads when they come from an address."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(rest.partition("?")[2], keep_blank_values=True):
        if not name.lower().startswith("ssl"):
            continue
        _check_tls_option(name, value)
        if name in options:
            raise ValueError(f"has the option {name} twice")
        options[name] = value
    is_off = options.get("ssl_disabled") in ("true", "1")
    if "ssl_disabled" in options and (len(options) > 1 or not is_off):
        raise ValueError(
            "has the option ssl_disabled, which turns TLS off whatever its value is: write "
            "ssl_disabled=true without other options of TLS, or remove it"
        )
    if options.get("ssl_check_hostname", "true") not in ("true", "false"):
        raise ValueError("has an option ssl_check_hostname that is not true or false")


def _check_tls_option(name: str, value: str) -> None:
    if name in _MISREAD_OPTIONS:
        raise ValueError(
            f"must not contain the option {name}, which the driver misreads: ssl_ca alone "
            "checks the certificate and the host name"
        )
    if name not in _TLS_OPTIONS:
        raise ValueError(
            f"has an unknown option {name[:20]}: those of TLS are {', '.join(_TLS_OPTIONS)}"
        )
    if not value.strip():  # the driver would go on without the option, so without a check
        raise ValueError(f"has the option {name} without a value: write one, or remove it")


def _check_port(url: str) -> None:
    try:
        is_valid = urlsplit(url).port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("has a port that is not a number from 1 to 65535")


def api_pix_url(public_url: str, tls_port: int | None) -> str:
    """The address of API Pix: on the port of its own for mutual TLS, if there is one."""
    if tls_port is None:
        return f"{public_url}/api-pix"
    return f"https://{urlsplit(public_url).hostname}:{tls_port}/api-pix"


def fault_of_tls(settings: TlsSettings) -> str | None:
    """A sentence for settings of mutual TLS that contradict each other, or None."""
    if settings.tls_port == settings.port:
        return "TLS_PORT must differ from PORT."
    name = settings.client_certificate_header
    if name is not None and not _HEADER_NAME.fullmatch(name):
        return "CLIENT_CERTIFICATE_HEADER must be the name of a header."
    if name is not None and not settings.trusted_proxies:
        return (
            "CLIENT_CERTIFICATE_HEADER needs TRUSTED_PROXIES: without a proxy every client could "
            "write the header itself."
        )
    return None
