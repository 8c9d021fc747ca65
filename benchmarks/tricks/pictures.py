"""Tricks for codes, pictures and signatures."""

from __future__ import annotations

from benchmarks.tricks.trick import Trick, instead, uncached
from core.signing import jws
from payments import qr_image, qr_routes

TRICKS = [
    Trick(
        "one mask for every QR",
        "payments/qr_image.py _symbol",
        ("first QR, SVG", "first QR, PNG"),
        instead((qr_image, "_MASK", None)),
    ),
    Trick(
        "cached pictures",
        "payments/qr_image.py qr_svg",
        ("QR",),
        uncached(qr_routes, "qr_svg"),
    ),
    Trick(
        "cached pictures",
        "payments/qr_image.py qr_png",
        ("QR as PNG",),
        uncached(qr_routes, "qr_png"),
    ),
    Trick(
        "cached symbols",
        "payments/qr_image.py _symbol",
        ("both first QRs",),
        uncached(qr_image, "_symbol"),
    ),
    Trick(
        "cached private keys",
        "core/signing/jws.py _load_key",
        ("payload",),
        uncached(jws, "_load_key"),
    ),
]
