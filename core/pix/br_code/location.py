"""Locations: the address of a dynamic code's payload, without its scheme.

Manual de Padrões para Iniciação do Pix §2.5.2 and §2.7.
"""

from __future__ import annotations

import re

from core.pix.br_code.model import BrCodeError

LOCATION_CHARACTERS_MAX = 77

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_SEGMENT_CHARACTER = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
# User, query and fragment are not allowed: the part before the first slash is the host that will
# be called.
_LOCATION = re.compile(
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})+)(?::(?P<port>[0-9]{{1,5}}))?"
    rf"(?P<path>(?:/{_SEGMENT_CHARACTER}+)+)"
)
_PORT_MAX = 65_535


def check_location(location: str) -> None:
    """Check that a location has the form host/path: a host with a dot, an optional port, a path.

    Raises BrCodeError `url_invalid`.
    """
    if len(location) > LOCATION_CHARACTERS_MAX:
        raise BrCodeError("url_invalid", "The location is over 77 characters.")
    match = _LOCATION.fullmatch(location)
    if match is None:
        raise BrCodeError("url_invalid", "The location is not host/path without a scheme.")
    if match["port"] is not None and not 1 <= int(match["port"]) <= _PORT_MAX:
        raise BrCodeError("url_invalid", "The location's port does not exist.")
    if {".", ".."} & set(match["path"].split("/")):
        raise BrCodeError("url_invalid", "The location's path contains . or .. segments.")


def check_same_host(location: str, recurrence: str) -> None:
    """Check that two locations have the same host, as a composite code requires (§2.8).

    Raises BrCodeError `url_invalid`.
    """
    if location.partition("/")[0].lower() != recurrence.partition("/")[0].lower():
        raise BrCodeError("url_invalid", "Payment and recurrence have different hosts.")
