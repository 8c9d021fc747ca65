"""Redraw a symbol that was photographed from the side, or on a bent sheet, as a flat square.

A decoder that cannot read a symbol often reports its corners and its number of modules. With these,
each module gets a whole number of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageFilter, ImageOps

Point = tuple[float, float]

MODULE_PX = 8
_QUIET = 4 * MODULE_PX
_SIDE_MIN = 40.0
"""In px; a smaller symbol has too few pixels for its modules."""
_BENDS = (0.5, -0.5, 1.0, -1.0, 1.5, -1.5)
"""How far the middle of a bent sheet is off, in modules."""
_STRIPS = 32
# In a blurred picture a module takes light from its neighbours; these kernels subtract it.
_APART = (
    ImageFilter.Kernel((3, 3), (-1, -2, -1, -2, 26, -2, -1, -2, -1), 14),
    ImageFilter.Kernel((3, 3), (-1, -2, -1, -2, 17, -2, -1, -2, -1), 5),
)


@dataclass(frozen=True)
class Corners:
    """A symbol's corners in a picture of `size`, clockwise from the symbol's top left."""

    size: tuple[int, int]
    points: tuple[Point, ...]
    modules: int
    """Per side."""

    def within(self, size: tuple[int, int]) -> tuple[Point, ...]:
        """The corners in the same picture at another size."""
        across, down = size[0] / self.size[0], size[1] / self.size[1]
        return tuple((x * across, y * down) for x, y in self.points)

    def is_near(self, other: Corners) -> bool:
        """Whether both are corners of the same symbol, to a fiftieth of the picture."""
        if self.modules != other.modules:
            return False
        mine, others = self.within((100, 100)), other.within((100, 100))
        return all(
            abs(x - u) < 2 and abs(y - v) < 2 for (x, y), (u, v) in zip(mine, others, strict=True)
        )


def straighten(image: Image.Image, corners: Corners) -> Image.Image | None:
    """The symbol as a square with its quiet zone, MODULE_PX per module; None if it is too small."""
    points = corners.within(image.size)
    pairs = zip(points, points[1:] + points[:1], strict=True)
    if min(math.dist(one, other) for one, other in pairs) < _SIDE_MIN:
        return None
    side = corners.modules * MODULE_PX
    near, far = _QUIET, _QUIET + side
    numbers = perspective(((near, near), (far, near), (far, far), (near, far)), points)
    if numbers is None:
        return None
    size = (far + _QUIET, far + _QUIET)
    method, bicubic = Image.Transform.PERSPECTIVE, Image.Resampling.BICUBIC
    return ImageOps.autocontrast(image.transform(size, method, numbers, bicubic), 1)


def modules_of(square: Image.Image) -> Iterator[Image.Image]:
    """The straightened symbol with one grey per module, without the neighbours' light."""
    modules = ImageOps.autocontrast(square.reduce(MODULE_PX), 1)
    size = (modules.width * 4, modules.height * 4)
    for kernel in _APART:
        yield modules.filter(kernel).resize(size, Image.Resampling.NEAREST)


def unbend(square: Image.Image) -> Iterator[Image.Image]:
    """Undo possible bends of the sheet of a straightened symbol, one version for each bend.

    The corners stay; the middle moves one way, or the two halves move opposite ways.
    """
    for bend in _BENDS:
        for waves in (1, 2):
            for upright in (True, False):
                yield _bend(square, bend * MODULE_PX, waves, upright)


def _bend(square: Image.Image, by: float, waves: int, upright: bool) -> Image.Image:
    side = square.width
    mesh: list[tuple[tuple[int, int, int, int], tuple[float, ...]]] = []
    for strip in range(_STRIPS):
        a, b = side * strip // _STRIPS, side * (strip + 1) // _STRIPS
        da, db = (by * _wave(at, side, waves) for at in (a, b))
        if upright:
            mesh.append(((a, 0, b, side), (a, da, a, side + da, b, side + db, b, db)))
        else:
            mesh.append(((0, a, side, b), (da, a, db, b, side + db, b, side + da, a)))
    method = Image.Transform.MESH
    return square.transform(square.size, method, mesh, Image.Resampling.BILINEAR)


def _wave(at: int, side: int, waves: int) -> float:
    inner = side - 2 * _QUIET
    return math.sin(math.pi * waves * min(max(at - _QUIET, 0), inner) / inner)


def perspective(target: tuple[Point, ...], source: tuple[Point, ...]) -> list[float] | None:
    """Pillow's eight numbers that map each of four target points to its source.

    None if three of the points lie on one line.
    """
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, u])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, v])
    for pivot in range(8):
        best = max(range(pivot, 8), key=lambda row: abs(rows[row][pivot]))
        if abs(rows[best][pivot]) < 1e-9:
            return None
        rows[pivot], rows[best] = rows[best], rows[pivot]
        rows[pivot] = [value / rows[pivot][pivot] for value in rows[pivot]]
        for row in range(8):
            factor = rows[row][pivot]
            if row != pivot and factor:
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[pivot], strict=True)]
    return [row[8] for row in rows]
