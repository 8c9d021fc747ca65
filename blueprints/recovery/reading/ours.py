"""Find our locations, in complete or damaged BR Codes, and our URLs in a text.

A location is ours if its host and path are ours. Its token must have the right length and be
followed by what follows it in our codes: a cut or lengthened token must not match another payment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_TOKEN = "[0-9A-Fa-f]{32}"  # noqa: S105 - a pattern, not a secret
# What follows the location in our codes, or the beginning of that if the text is cut there.
_NEXT_OBJECT = "(?:52040000|520?4?0{0,4}\\Z|5?\\Z|[^0-9A-Za-z])"
_LOCATION = re.compile(rf"/?qr/v2/(?:cobv/)?({_TOKEN})(?={_NEXT_OBJECT})", re.I | re.A)
# What stands between token and merchant in our codes, for a text that lost its beginning and
# starts with the token.
_HEADLESS = re.compile(rf"({_TOKEN})5204000053039865802BR", re.I | re.A)
_OBJECT_25 = re.compile(r"25[0-9]{2}\Z", re.A)
_SCHEME = re.compile(r"https?://\Z", re.I | re.A)
_DEFAULT_PORTS = {"http": 80, "https": 443}

_PAGE = re.compile(
    rf"/payments/pix/(?:qr_code/qr_code_payment_)?({_TOKEN})(?:\.png|\.svg)?(?:/.*)?|/pay/({_TOKEN})/?",
    re.I | re.A | re.S,
)
_WATCH = re.compile(rf"/(?:qr/v2/(?:cobv/)?|watch/)({_TOKEN})/?", re.I | re.A)
_ADDRESS_IN_TEXT = re.compile(r"https?://[^\s<>\"']{1,2000}", re.I)
_ADDRESSES_MAX = 20


@dataclass(frozen=True)
class Address:
    """The payment that a URL on our host names; both are None if it names no payment."""

    payment_id: str | None = None
    watch_code: str | None = None


def location_token(location: str, base: str) -> str | None:
    """The token of the location in a complete BR Code; None if the location is not ours."""
    for own in _spellings(base):
        if location[: len(own)].lower() == own:
            match = _LOCATION.fullmatch(location[len(own) :])
            return match[1].lower() if match and location[len(own)] == "/" else None
    return None


def surviving_token(text: str, base: str) -> str | None:
    """The token of our location in a damaged text, or None.

    The text may begin within the host. Otherwise the whole host must be there, and start the
    location: the header of the BR Code's object, a scheme or a space stands before it.
    """
    if headless := _HEADLESS.match(text):
        return headless[1].lower()
    for match in _LOCATION.finditer(text):
        before = text[: match.start()].lower()
        for own in _spellings(base):
            if own.endswith(before) or (
                before.endswith(own) and _can_precede_host(before[: -len(own)])
            ):
                return match[1].lower()
    return None


def _can_precede_host(before: str) -> bool:
    """Whether a host can start after this text, so that it is no part of another URL."""
    if not before or _OBJECT_25.search(before):
        return True
    if scheme := _SCHEME.search(before):
        before = before[: scheme.start()]
        return not before or before[-1].isspace() or before[-1] in "(<[\"'"
    return before[-1].isspace()


def _spellings(base: str) -> tuple[str, ...]:
    """The base, and its form with `localhost`, which a browser on the same machine may show."""
    own = base.lower().rstrip("/")
    host, slash, path = own.partition("/")
    if host.partition(":")[0] == "127.0.0.1":
        return own, f"{host.replace('127.0.0.1', 'localhost', 1)}{slash}{path}"
    return (own,)


def addresses_in(text: str) -> list[str]:
    """The URLs in a text, in order, without the punctuation that ends a sentence."""
    addresses = _ADDRESS_IN_TEXT.findall(text)[:_ADDRESSES_MAX]
    return [address.rstrip(".,;:!?)]}»”") for address in addresses]


def own_address(address: str, base: str) -> Address | None:
    """What an http or https URL names on our host; None for a URL on another host."""
    parts = split_address(address)
    if parts is None or "@" in parts.netloc:
        return None
    host = _host_and_port(parts)
    for own in _spellings(base):
        own_host, slash, own_path = own.partition("/")
        path = parts.path
        if host != _without_default_port(own_host, parts.scheme):
            continue
        if slash:
            if not path.lower().startswith(f"/{own_path}/"):
                continue
            path = path[len(own_path) + 1 :]
        if match := _PAGE.fullmatch(path):
            return Address(payment_id=(match[1] or match[2]).lower())
        if match := _WATCH.fullmatch(path):
            return Address(watch_code=match[1].lower())
        return Address()
    return None


def split_address(address: str) -> SplitResult | None:
    """The parts of an http or https URL, or None for any other text; never raises."""
    try:
        parts = urlsplit(address)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            return None
        _ = parts.port  # raises for a port that does not exist
    except ValueError:
        return None
    return parts


def _host_and_port(parts: SplitResult) -> str:
    default = _DEFAULT_PORTS[parts.scheme.lower()]
    host = (parts.hostname or "").lower()
    return host if parts.port in (None, default) else f"{host}:{parts.port}"


def _without_default_port(host: str, scheme: str) -> str:
    return host.removesuffix(f":{_DEFAULT_PORTS[scheme.lower()]}")
