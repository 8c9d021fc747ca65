"""QR images of BR Codes: drawn once per text and cached; the bytes are always the same.

The symbol follows the Manual do BR Code: error correction M and a quiet zone of four modules.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import lru_cache
from math import isqrt
from typing import Any

import structlog
import zxingcpp
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

log = structlog.get_logger()

CODE_CHARACTERS_MAX = 512
MODULE_PX = 8
QUIET_ZONE_MODULES = 4

# Every mask is valid, and scanners read all of them equally well. A search for the best of the
# eight takes most of the time (https://github.com/lincolnloop/python-qrcode/issues/124).
_MASK = 3
_PNG_LEVEL = 6  # The highest level takes twice the time and saves 80 of 860 bytes.
_IMAGES_CACHED = 2048  # About 1 KB each as PNG, 4 KB as SVG.

_Symbol = tuple[bytes, ...]
"""The rows of a symbol with its quiet zone: a byte per module, DARK or LIGHT."""

DARK, LIGHT = b"\x00", b"\xff"
_RUN = re.compile(b"(\xff*)(\x00+)(?=\xff)")
"""Light modules, and the dark ones that follow them, up to the next light one."""
_PIECE_MODULES = 8


@lru_cache(maxsize=_IMAGES_CACHED)
def qr_png(code: str) -> bytes:
    """A one-bit PNG of the code, 8 px per module with its quiet zone.

    Raises ValueError unless the code is 1 to 512 ASCII characters.
    """
    symbol = _symbol(code)
    side = len(symbol)
    image = Image.frombytes("L", (side, side), b"".join(symbol)).convert("1")
    scaled = image.resize((side * MODULE_PX, side * MODULE_PX), Image.Resampling.NEAREST)
    output = io.BytesIO()
    scaled.save(output, format="PNG", compress_level=_PNG_LEVEL)
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


def _symbol(code: str) -> _Symbol:
    if not 1 <= len(code) <= CODE_CHARACTERS_MAX or not code.isascii():
        raise ValueError(f"a QR code holds 1 to {CODE_CHARACTERS_MAX} ASCII characters")
    try:
        return symbol_by_zxing(code)
    except (ValueError, RuntimeError):
        log.warning("qr.by_python", length=len(code))
        return symbol_by_qrcode(code)


def symbol_by_zxing(code: str) -> _Symbol:
    """The symbol by the C++ writer, which also chooses shorter encodings of the text.

    Raises ValueError and RuntimeError for what that writer cannot encode.
    """
    barcode = zxingcpp.create_barcode(
        code, zxingcpp.BarcodeFormat.QRCode, ec_level="M", data_mask=_MASK
    )
    # With the quiet zone, which is that of the standard: four modules.
    image: Any = barcode.to_image(scale=1)
    modules = memoryview(image).tobytes()
    side = isqrt(len(modules))
    return tuple(modules[y : y + side] for y in range(0, side * side, side))


def symbol_by_qrcode(code: str) -> _Symbol:
    """The symbol by the Python library, four times slower: for what the C++ writer refuses."""
    qr = QRCode(error_correction=ERROR_CORRECT_M, border=QUIET_ZONE_MODULES, mask_pattern=_MASK)
    qr.add_data(code)
    qr.make(fit=True)
    return tuple(b"".join(DARK if dark else LIGHT for dark in row) for row in qr.get_matrix())


def _strokes(symbol: _Symbol) -> Iterator[str]:
    """The path commands: move over each light run, draw a line for each dark run."""
    end = len(symbol) - QUIET_ZONE_MODULES
    # The first module of the quiet zone ends the last run of a row.
    pieces = [slice(x, min(x + _PIECE_MODULES, end + 1)) for x in range(0, end + 1, _PIECE_MODULES)]
    for y in range(QUIET_ZONE_MODULES, end):
        row, rest, texts = symbol[y], b"", []
        for piece in pieces:
            text, rest = _PIECES[rest + row[piece]]
            texts.append(text)
        commands = "".join(texts)
        if commands:
            # The first run of a row moves to it: "m4 0h7" becomes "M4 9h7".
            yield "M" + commands[1:].replace(" 0", f" {y}", 1)


class _Pieces(dict[bytes, tuple[str, bytes]]):
    """By a piece of a row: the commands for its runs, and the modules of a run that goes on.

    They are written once: 3,000 symbols have 300 pieces each and 18,000 together.
    """

    def __missing__(self, piece: bytes) -> tuple[str, bytes]:
        if len(self) >= _PIECES_MAX:
            self.clear()
        runs = _RUN.findall(piece)
        commands = "".join(f"m{len(light)} 0h{len(dark)}" for light, dark in runs)
        self[piece] = written = commands, piece[sum(len(light + dark) for light, dark in runs) :]
        return written


_PIECES_MAX = 20_000
"""About 230 bytes each."""
_PIECES = _Pieces()
