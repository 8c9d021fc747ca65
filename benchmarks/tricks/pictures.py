"""Tricks for codes, pictures and signatures."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.tricks.trick import Trick, instead, uncached
from core.signing import jws
from payments import qr_image, qr_routes

_RUNS = re.compile(b"(\xff*)(\x00+)")


def _strokes(symbol: tuple[bytes, ...]) -> Iterator[str]:
    """Write the commands of each run anew."""
    for y, row in enumerate(symbol):
        runs = _RUNS.findall(row)
        if runs:
            light, dark = runs[0]
            yield f"M{len(light)} {y}h{len(dark)}"
            yield from [f"m{len(light)} 0h{len(dark)}" for light, dark in runs[1:]]


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
        "strokes written in pieces",
        "payments/qr_image.py _PIECES",
        ("first QR, SVG",),
        instead((qr_image, "_strokes", _strokes)),
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
