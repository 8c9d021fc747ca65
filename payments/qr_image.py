"""QR images of BR Codes: drawn once per text and cached; the bytes are always the same.

The symbol follows the Manual do BR Code: error correction M and a quiet zone of four modules.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

from PIL import Image
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

CODE_CHARACTERS_MAX = 512
MODULE_PX = 8
QUIET_ZONE_MODULES = 4

# Every mask is valid, and scanners read all of them equally well. A search for the best of the
# eight would take two thirds of the time (https://github.com/lincolnloop/python-qrcode/issues/124).
_MASK = 3
_IMAGES_CACHED = 2048  # About 1 KB each as PNG, 4 KB as SVG.
_SYMBOLS_CACHED = 64  # A page requests both pictures of one code within moments.

_Symbol = tuple[tuple[bool, ...], ...]


@lru_cache(maxsize=_IMAGES_CACHED)
def qr_png(code: str) -> bytes:
    """A one-bit PNG of the code, 8 px per module with its quiet zone.

    Raises ValueError unless the code is 1 to 512 ASCII characters.
    """
    symbol = _symbol(code)
    side = len(symbol)
    image = Image.new("1", (side, side))
    image.putdata([not dark for row in symbol for dark in row])
    scaled = image.resize((side * MODULE_PX, side * MODULE_PX), Image.Resampling.NEAREST)
    output = io.BytesIO()
    scaled.save(output, format="PNG", optimize=True)
    return output.getvalue()


@lru_cache(maxsize=_IMAGES_CACHED)
def qr_svg(code: str) -> bytes:
    """An SVG of the code: one black stroke per run of dark modules, on a white background.

    A stroke needs half the bytes of a rectangle. It lies on the middle of its row, so the view box
    begins half a unit above the first row. The image brings its background, so that the code is
    readable in dark mode. Raises ValueError unless the code is 1 to 512 ASCII characters.
    """
    symbol = _symbol(code)
    side = len(symbol)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -.5 {side} {side}" '
        f'width="{side * MODULE_PX}" height="{side * MODULE_PX}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0-.5h{side}v{side}H0z"/>'
        f'<path stroke="#000" d="{"".join(_strokes(symbol))}"/></svg>'
    ).encode()


@lru_cache(maxsize=_SYMBOLS_CACHED)
def _symbol(code: str) -> _Symbol:
    """The rows of modules, with the quiet zone; True is dark."""
    if not 1 <= len(code) <= CODE_CHARACTERS_MAX or not code.isascii():
        raise ValueError(f"a QR code holds 1 to {CODE_CHARACTERS_MAX} ASCII characters")
    qr = QRCode(error_correction=ERROR_CORRECT_M, border=QUIET_ZONE_MODULES, mask_pattern=_MASK)
    qr.add_data(code)
    qr.make(fit=True)
    return tuple(tuple(map(bool, row)) for row in qr.get_matrix())


def _strokes(symbol: _Symbol) -> Iterator[str]:
    """The path commands: move over each light run, draw a line for each dark run."""
    for y, row in enumerate(symbol):
        x, skipped, drawing = 0, 0, False
        for dark, modules in groupby(row):
            length = sum(1 for _ in modules)
            if not dark:
                skipped = length
            elif drawing:
                yield f"m{skipped} 0h{length}"
            else:
                yield f"M{x} {y}h{length}"
                drawing = True
            x += length
