"""The certificate by which a client has proven itself in mutual TLS (RFC 8705).

It comes from the TLS of this process, or from a trusted proxy in a header.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from flask import request

from config import current_settings
from core.signing.development_ca import thumbprint_of_pem

CLIENT_CERTIFICATE = "balcao.client_certificate"
"""In the WSGI environment: the thumbprint that this process's own TLS has verified, or None.

No client can set it, because the names of headers begin with HTTP_ there.
"""
HEADER_CHARACTERS_MAX = 16_384


def client_thumbprint() -> str | None:
    """The `x5t#S256` of the certificate that came with this request; None for no certificate.

    The header of CLIENT_CERTIFICATE_HEADER is believed only behind TRUSTED_PROXIES, which the
    settings make sure of. A header that is no certificate counts as none.
    """
    own: str | None = request.environ.get(CLIENT_CERTIFICATE)
    if own is not None:
        return own
    name = current_settings().client_certificate_header
    if name is None:
        return None
    text = request.headers.get(name, "")
    if not text or len(text) > HEADER_CHARACTERS_MAX:
        return None
    try:
        return thumbprint_of_pem(unquote_to_bytes(text))
    except ValueError:
        return None


def is_certificate_needed() -> bool:
    """Whether clients of API Pix must come by mutual TLS."""
    return current_settings().uses_mutual_tls
