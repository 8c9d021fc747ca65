"""Tricks for codes, pictures and signatures."""

from __future__ import annotations

from benchmarks.tricks.trick import Trick, instead, uncached
from core.signing import jws
from payments import qr_image, qr_routes

TRICKS = [
    Trick(
        "one mask for every QR",
        "payments/qr_image.py _MASK",
        ("first QR, SVG", "first QR, PNG"),
        instead((qr_image, "_MASK", -1)),
    ),
    Trick(
        "symbols by the C++ writer",
        "payments/qr_image.py symbol_by_zxing",
        ("first QR, SVG", "first QR, PNG"),
        instead((qr_image, "symbol_by_zxing", qr_image.symbol_by_qrcode)),
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
        "cached private keys",
        "core/signing/jws.py _load_key",
        ("payload",),
        uncached(jws, "_load_key"),
    ),
]
