"""Find the QR codes in a picture: try cheap attempts first, expensive ones only if they fail.

zxing-cpp decodes each version of the picture. It handles rotated, mirrored, inverted and smaller
symbols by itself, and its error correction prevents wrong texts, so each attempt can only help. It
cannot undo grain, moiré, blur, uneven light and slant; the rungs of the ladder do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import zxingcpp
from PIL import Image, ImageChops, ImageFilter, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from blueprints.recovery.reading.straighten import Corners, modules_of, straighten, unbend
from core.pictures import colours, has_holes, open_picture, shades

WORKING_SIDE = 1600
"""Pictures are reduced by whole factors as long as their longer side stays above this."""
TILE_SIDE = 2400
"""The longest side that is decoded, because tens of megapixels take seconds."""
FRAMES_MAX = 4
"""Decoded frames of an animation; a QR is in one of the first frames."""

_QR = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2])
_LOCAL, _GLOBAL = zxingcpp.Binarizer.LocalAverage, zxingcpp.Binarizer.GlobalHistogram
_CANDIDATES_MAX, _CORNERS_MAX = 3, 30
_HEAVY_PIXELS = 16_000_000

Attempt = tuple[Image.Image, zxingcpp.Binarizer]


@dataclass(frozen=True)
class Rung:
    """One kind of attempt."""

    name: str
    attempts: Callable[[Source], Iterator[Attempt]]


class Source:
    """A picture whose versions are decoded on demand. Raises as `open_picture`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.corners: list[Corners] = []
        """The corners of symbols that were located but not decoded."""

    @cached_property
    def working(self) -> Image.Image:
        """The first frame in grey, its longer side below twice WORKING_SIDE."""
        with open_picture(self._data) as image:
            if isinstance(image, JpegImageFile):
                # Pillow can decode a JPEG at a half, quarter or eighth of its size.
                image.draft("L", (WORKING_SIDE, WORKING_SIDE))
            return shades(image, max(1, max(image.size) // WORKING_SIDE))

    @cached_property
    def full(self) -> Image.Image:
        """The first frame in grey at full size; halved if its colours need much memory."""
        with open_picture(self._data) as image:
            if isinstance(image, JpegImageFile):
                image.draft("L", image.size)
            is_heavy = image.mode != "L" and image.width * image.height > _HEAVY_PIXELS
            return shades(image, 2 if is_heavy else 1)

    @cached_property
    def sharp(self) -> Image.Image:
        """`working` with stretched contrast, enlarged if its modules would be too small."""
        factor = 2 if max(self.working.size) <= 1000 else 1
        size = (self.working.width * factor, self.working.height * factor)
        return ImageOps.autocontrast(self.working.resize(size, Image.Resampling.BICUBIC), 1)

    def on_black(self) -> Iterator[Image.Image]:
        """A transparent picture on a black background, which makes light modules visible."""
        with open_picture(self._data) as image:
            if has_holes(image):
                yield shades(image, max(1, max(image.size) // WORKING_SIDE), paper=0)

    def channels(self) -> Iterator[Image.Image]:
        """Red, green and blue separately, because a coloured code may have no contrast in grey."""
        with open_picture(self._data) as image:
            image.draft("RGB", (WORKING_SIDE, WORKING_SIDE))
            if image.mode not in ("L", "1", "LA") and not image.mode.startswith("I"):
                yield from colours(image, max(1, max(image.size) // WORKING_SIDE)).split()

    def later_frames(self) -> Iterator[Image.Image]:
        """The second and later frames of an animation."""
        with open_picture(self._data) as image:
            for number in range(1, min(FRAMES_MAX, getattr(image, "n_frames", 1))):
                image.seek(number)
                yield shades(image, max(1, max(image.size) // WORKING_SIDE))


def texts_in(
    image: Image.Image, binarizer: zxingcpp.Binarizer, corners: list[Corners]
) -> list[str]:
    """Decode the QR codes; append to `corners` those of symbols that could not be decoded."""
    texts = []
    symbols = zxingcpp.read_barcodes(
        image,
        formats=_QR,
        binarizer=binarizer,
        text_mode=zxingcpp.TextMode.Plain,
        return_errors=True,
    )
    for symbol in symbols:
        version = _version(symbol.extra)
        if symbol.valid:
            texts.append(symbol.text)
        elif version is not None and len(corners) < _CORNERS_MAX:
            position = symbol.position
            points = tuple(
                (float(point.x), float(point.y))
                for point in (
                    position.top_left,
                    position.top_right,
                    position.bottom_right,
                    position.bottom_left,
                )
            )
            corners.append(Corners(image.size, points, 17 + 4 * version))
    return texts


def _version(extra: object) -> int | None:
    """The symbol's version, which says how many modules it has; None if it was not decoded."""
    version = extra.get("Version") if isinstance(extra, dict) else None
    return int(version) if isinstance(version, str) and version.isdecimal() else None


def _as_it_is(source: Source) -> Iterator[Attempt]:
    yield source.working, _LOCAL


def _other_binarizer(source: Source) -> Iterator[Attempt]:
    yield source.working, _GLOBAL


def _contrast(source: Source) -> Iterator[Attempt]:
    stretched = ImageOps.autocontrast(source.working, 2)
    yield stretched, _LOCAL
    yield ImageOps.equalize(source.working), _GLOBAL
    for paper in source.on_black():
        yield paper, _LOCAL


def _smooth(source: Source) -> Iterator[Attempt]:
    """Blur grain and moiré, which are finer than a module."""
    stretched = ImageOps.autocontrast(source.working, 1)
    for radius in (0.8, 1.5, 2.5):
        yield stretched.filter(ImageFilter.GaussianBlur(radius)), _LOCAL
    yield stretched.filter(ImageFilter.MedianFilter(3)), _LOCAL


def _reduce(source: Source) -> Iterator[Attempt]:
    for factor in (2, 3):
        if min(source.working.size) // factor >= 100:
            yield source.working.reduce(factor), _LOCAL


def _enlarge(source: Source) -> Iterator[Attempt]:
    if source.sharp.size != source.working.size:
        yield source.sharp, _LOCAL
        yield source.sharp, _GLOBAL
    if max(source.working.size) <= 500:
        size = (source.working.width * 4, source.working.height * 4)
        yield source.working.resize(size, Image.Resampling.LANCZOS), _LOCAL


def _even_out_light(source: Source) -> Iterator[Attempt]:
    """Compare each pixel with its surroundings, to remove shadows, lamps and vignettes."""
    yield between_extremes(source.working), _LOCAL
    for share in (40, 15):
        even = flatten(source.sharp, max(8, min(source.sharp.size) // share))
        yield even, _GLOBAL
        yield even, _LOCAL


def _sharpen(source: Source) -> Iterator[Attempt]:
    """Undo several widths of blur, on smoothed grey so that grain is not amplified."""
    smooth = ImageOps.autocontrast(source.working, 1).filter(ImageFilter.GaussianBlur(1))
    half = smooth.reduce(2)
    for image, radius, percent in (
        (smooth, 2.5, 200),
        (smooth, 5, 400),
        (half, 2.5, 400),
        (half, 4, 300),
        (smooth, 9, 400),
    ):
        sharp = image.filter(ImageFilter.UnsharpMask(radius, percent, 0))
        yield sharp, _LOCAL
        yield sharp, _GLOBAL


def _straighten_symbols(source: Source) -> Iterator[Attempt]:
    """Redraw symbols that were located but not decoded as squares."""
    squares = _squares(source)
    for square in squares:
        yield square, _LOCAL
        for modules in modules_of(square):
            yield modules, _LOCAL
            yield modules, _GLOBAL


def _flatten_sheets(source: Source) -> Iterator[Attempt]:
    """Redraw the same symbols, assuming that the sheet was bent."""
    for square in _squares(source):
        for flat in unbend(square):
            yield flat, _LOCAL


def _squares(source: Source) -> list[Image.Image]:
    distinct = _distinct(source.corners)[:_CANDIDATES_MAX]
    squares = (straighten(source.sharp, corners) for corners in distinct)
    return [square for square in squares if square is not None]


def _full_size(source: Source) -> Iterator[Attempt]:
    """Parts of a reduced picture at a higher resolution, for a small code in a photograph."""
    if source.full.size == source.working.size:
        return
    for parts in (2, 3, 5):
        for tile in _tiles(source.full, parts):
            factor = -(-max(tile.size) // TILE_SIDE)
            yield ImageOps.autocontrast(tile.reduce(factor) if factor > 1 else tile, 1), _LOCAL
        if max(source.full.size) * 2 // (parts + 1) <= TILE_SIDE:
            return


def _parts(source: Source) -> Iterator[Attempt]:
    """Parts of the picture, each with its own contrast; small parts are enlarged."""
    for tile in _tiles(source.working, 2):
        if min(tile.size) >= 100:
            factor = 2 if max(tile.size) <= 1000 else 1
            size = (tile.width * factor, tile.height * factor)
            large = tile.resize(size, Image.Resampling.BICUBIC)
            yield ImageOps.autocontrast(large, 1), _LOCAL


def _tiles(image: Image.Image, parts: int) -> Iterator[Image.Image]:
    """`parts` by `parts` tiles; they overlap by half, so that one tile contains a whole code."""
    width, height = image.width * 2 // (parts + 1), image.height * 2 // (parts + 1)
    for row in range(parts):
        for column in range(parts):
            x, y = column * width // 2, row * height // 2
            yield image.crop((x, y, x + width, y + height))


def _channels(source: Source) -> Iterator[Attempt]:
    for channel in source.channels():
        yield channel, _LOCAL


def _frames(source: Source) -> Iterator[Attempt]:
    for frame in source.later_frames():
        yield frame, _LOCAL


def flatten(image: Image.Image, radius: int) -> Image.Image:
    """Remove differences of light wider than `radius` px, and centre the grey values."""
    around = image.filter(ImageFilter.BoxBlur(radius))
    difference = ImageChops.subtract(image, around, scale=0.5, offset=128)
    return difference.filter(ImageFilter.GaussianBlur(0.8))


def between_extremes(image: Image.Image) -> Image.Image:
    """Compare each pixel with the middle of the darkest and lightest near it.

    Unlike a mean, the middle does not shift where dark or light pixels prevail.
    """
    small = image.filter(ImageFilter.GaussianBlur(0.8)).reduce(4)
    dark, light = (
        small.filter(extreme(5)).filter(ImageFilter.GaussianBlur(2.5))
        for extreme in (ImageFilter.MinFilter, ImageFilter.MaxFilter)
    )
    middle = Image.blend(dark, light, 0.5).resize(image.size, Image.Resampling.BILINEAR)
    return ImageChops.subtract(image, middle, scale=0.3, offset=128)


def _distinct(all_corners: list[Corners]) -> list[Corners]:
    distinct: list[Corners] = []
    for corners in all_corners:
        if not any(corners.is_near(other) for other in distinct):
            distinct.append(corners)
    return distinct


LADDER = (
    Rung("as it is", _as_it_is),
    Rung("other binarizer", _other_binarizer),
    Rung("contrast", _contrast),
    Rung("smoothed", _smooth),
    Rung("smaller", _reduce),
    Rung("larger", _enlarge),
    Rung("full size", _full_size),
    Rung("even light", _even_out_light),
    Rung("sharpened", _sharpen),
    Rung("straightened", _straighten_symbols),
    Rung("flattened out", _flatten_sheets),
    Rung("channels", _channels),
    Rung("later frames", _frames),
    Rung("parts", _parts),
)
"""From cheap to expensive; the ladder ends with the first attempt that finds a code."""
