"""Which addresses webhooks may go to: the URL that a merchant sends, and what its host resolves to.

Without these rules a merchant could make the service send requests into its own network. See
docs/decisions/0054-webhook-addresses.md.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, quote, urlsplit

from core.runtime.lookups import look_up

URL_CHARACTERS_MAX = 2048
LOOK_UP_SECONDS = 15.0
ADDRESSES_PER_FAMILY_MAX = 2
"""How many IPv4 and how many IPv6 addresses of one host are tried."""

_HOST_CHARACTERS_MAX = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label like this makes a URL's host an IPv4 address (WHATWG URL, *ends in a number*)."""
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]*))?")
_DEVIATIONS = "ßẞς"
"""Python's codec encodes these as IDNA 2003 does, and browsers as IDNA 2008: as another host."""
_LOCAL_NAMES = ("localhost", "local", "internal", "home.arpa")
_SYSTEM_PORT_LAST = 1023
_DEFAULT_PORTS = {"https": 443, "http": 80}
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~?"

_Address = IPv4Address | IPv6Address

# Never a receiver, not even in a closed network: this host, link-local, multicast and reserved
# addresses, and those at which clouds give a machine its credentials.
_NEVER = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/3",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "::/128",
        "fe80::/10",
        "ff00::/8",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
    )
)
# Beyond what `is_global` refuses; its answers differ between versions of Python.
_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)
_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_NAT64_LOCAL = ip_network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ip_network("::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The first half of an interface identifier with an IPv4 address in the second (RFC 5214, 6.1)."""


class AddressRefused(Exception):
    """A webhook must not go to this address; the message is a sentence for the merchant."""


def check_url(url: str, *, allow_private: bool) -> str:
    """The URL in its normal form. Looks up no name; `resolve` checks what the host resolves to.

    `allow_private` also allows http, names without a dot and ports below 1024. Raises ValueError
    with a sentence for the client.
    """
    parts = _split(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
        raise ValueError("The URL must begin with https://.")
    if parts.scheme == "http" and not allow_private:
        raise ValueError("The URL must begin with https://, because events contain personal data.")
    if "@" in parts.netloc:
        raise ValueError("The URL must not contain a user or a password.")
    if "#" in url:
        raise ValueError("The URL must not contain a fragment (#).")
    authority = _AUTHORITY.fullmatch(parts.netloc)
    if authority is None:
        raise ValueError("The URL has an invalid host or port.")
    if authority["ipv6"] is not None:
        host = f"[{_checked_ipv6(authority['ipv6'], allow_private)}]"
    else:
        host = _checked_name(authority["name"], allow_private)
    port = _checked_port(authority["port"], parts.scheme, allow_private)
    target = quote(parts.path or "/", safe=_PATH_CHARACTERS)
    if parts.query:
        target += f"?{quote(parts.query, safe=_PATH_CHARACTERS)}"
    normal = f"{parts.scheme}://{host}{port}{target}"
    if len(normal) > URL_CHARACTERS_MAX:
        raise ValueError(f"The URL must have at most {URL_CHARACTERS_MAX} characters.")
    return normal


def resolve(
    host: str, port: int, *, allow_private: bool, seconds: float = LOOK_UP_SECONDS
) -> tuple[str, ...]:
    """The addresses to connect to, at most two of each family; a literal address is only checked.

    One private address among the answers refuses the host. Raises AddressRefused, and
    `core.runtime.lookups.LookUpFailed` after `seconds` at the latest.
    """
    try:
        texts = [str(ip_address(host))]
    except ValueError:
        texts = look_up(host, port, seconds)
    addresses = [ip_address(text) for text in texts]
    for address in addresses:
        if (fault := _fault_of(address, allow_private)) is not None:
            # The address itself is not in the message: a stranger could read the names of the
            # operator's network with it.
            raise AddressRefused(f"The host resolves to {fault}.")
    families = [[one for one in addresses if one.version == version] for version in (4, 6)]
    candidates = {one for family in families for one in family[:ADDRESSES_PER_FAMILY_MAX]}
    return tuple(str(address) for address in addresses if address in candidates)


def _split(url: str) -> SplitResult:
    if len(url) > URL_CHARACTERS_MAX:
        raise ValueError(f"The URL must have at most {URL_CHARACTERS_MAX} characters.")
    # `urlsplit` removes tabs and line ends, and browsers read a backslash as a slash.
    if "\\" in url or any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError("The URL must not contain spaces, control characters or backslashes.")
    try:
        return urlsplit(url)
    except ValueError:
        raise ValueError("The URL has an invalid host or port.") from None


def _checked_port(text: str | None, scheme: str, allow_private: bool) -> str:
    """The port with its colon; empty for the scheme's own port."""
    if not text:
        return ""
    port = int(text) if len(text) <= 5 else 0
    if not 1 <= port <= 65535:
        raise ValueError("The URL's port must be from 1 to 65535.")
    if port == _DEFAULT_PORTS[scheme]:
        return ""
    if port <= _SYSTEM_PORT_LAST and not allow_private:
        raise ValueError("The URL's port must be 443, or from 1024 to 65535.")
    return f":{port}"


def _checked_ipv6(text: str, allow_private: bool) -> str:
    if "%" in text:
        raise ValueError("The URL's host must not contain a percent sign.")
    try:
        address = IPv6Address(text)
    except ValueError:
        raise ValueError("The URL's host is not a valid IPv6 address.") from None
    _check_literal(address, allow_private)
    return str(address)


def _checked_name(name: str, allow_private: bool) -> str:
    """A host name in ASCII and lower case, or an IPv4 address."""
    if "%" in name:
        raise ValueError("The URL's host must not contain a percent sign.")
    if any(character in name for character in _DEVIATIONS):
        raise ValueError("The URL's host must be written in ASCII (xn--…).")
    if len(name) > _HOST_CHARACTERS_MAX + 1:
        raise ValueError(f"The URL's host must have at most {_HOST_CHARACTERS_MAX} characters.")
    try:
        host = name.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        raise ValueError("The URL's host is not a valid name.") from None
    labels = host.split(".")
    if len(host) > _HOST_CHARACTERS_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("The URL's host is not a valid name.")
    if _NUMBER.fullmatch(labels[-1]):
        return _checked_ipv4(host, allow_private)
    if not allow_private:
        is_local = any(f".{host}".endswith(f".{local}") for local in _LOCAL_NAMES)
        if is_local or len(labels) == 1:
            raise ValueError("The URL's host must be a public name with a dot.")
    return host


def _checked_ipv4(host: str, allow_private: bool) -> str:
    """Four decimal numbers; 2130706433, 0x7f.1 and 0177.0.0.1 hide an address from a reader."""
    try:
        address = IPv4Address(host)
    except ValueError:
        raise ValueError(
            "The URL's host must be a name, or an IPv4 address of four decimal numbers."
        ) from None
    _check_literal(address, allow_private)
    return str(address)


def _check_literal(address: _Address, allow_private: bool) -> None:
    if (fault := _fault_of(address, allow_private)) is not None:
        raise ValueError(f"The URL's host is {fault}.")


def _fault_of(address: _Address, allow_private: bool) -> str | None:
    """What kind of forbidden address it is, in words for a sentence; None if it is allowed."""
    inner = _embedded_in(address)
    has_zone = isinstance(address, IPv6Address) and address.scope_id is not None
    if has_zone or any(one in network for one in (address, *inner) for network in _NEVER):
        return "an address that never receives webhooks"
    if allow_private or (all(map(_is_public, inner)) and _is_routed(address)):
        return None
    return "an address that is not public"


def _is_routed(address: _Address) -> bool:
    """Whether the internet routes to the address, or a translator to the one it contains."""
    if isinstance(address, IPv4Address):
        return _is_public(address)
    return address.ipv4_mapped is not None or address in _NAT64 or _is_public(address)


def _is_public(address: _Address) -> bool:
    if any(address in network for network in (*_NEVER, *_NOT_PUBLIC)):
        return False
    is_unicast = isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST
    return is_unicast and address.is_global and not address.is_multicast


def _embedded_in(address: _Address) -> list[_Address]:
    """The IPv4 addresses that a router, a tunnel or a translator may send to instead."""
    if isinstance(address, IPv4Address):
        return []
    value = int(address)
    inner: list[_Address] = []
    if address.ipv4_mapped is not None:
        inner.append(address.ipv4_mapped)
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner.extend(address.teredo)
    is_compatible = address in _IPV4_COMPATIBLE and value > 1
    is_isatap = (value >> 32) & 0xFFFF_FFFF in _ISATAP
    if is_compatible or is_isatap or address in _NAT64 or address in _NAT64_LOCAL:
        inner.append(IPv4Address(value & 0xFFFF_FFFF))
    return inner
