"""Geometry: a symbol seen from the side, or on a sheet that does not lie flat, is drawn again.

A decoder that meets a symbol it cannot read often still says where it stands and how many modules
it has. With that, each module gets its own whole number of pixels.
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
"""Corners closer than this are a speck: no symbol has its modules on so few pixels."""
_BENDS = (0.5, -0.5, 1.0, -1.0, 1.5, -1.5)
"""How far the middle of a bent sheet lies from where it should, in modules."""
_STRIPS = 32
# A module takes in light from its neighbours when the picture is blurred; this gives it back.
_APART = (
    ImageFilter.Kernel((3, 3), (-1, -2, -1, -2, 26, -2, -1, -2, -1), 14),
    ImageFilter.Kernel((3, 3), (-1, -2, -1, -2, 17, -2, -1, -2, -1), 5),
)


@dataclass(frozen=True)
class Corners:
    """Where a symbol stands in a picture of this size: its corners clockwise from its own first."""

    size: tuple[int, int]
    points: tuple[Point, ...]
    modules: int
    """On each side."""

    def within(self, size: tuple[int, int]) -> tuple[Point, ...]:
        """The corners in the same picture at another size."""
        across, down = size[0] / self.size[0], size[1] / self.size[1]
        return tuple((x * across, y * down) for x, y in self.points)

    def is_near(self, other: Corners) -> bool:
        """Whether both frame the same symbol, to a fiftieth of the picture."""
        if self.modules != other.modules:
            return False
        mine, others = self.within((100, 100)), other.within((100, 100))
        return all(
            abs(x - u) < 2 and abs(y - v) < 2 for (x, y), (u, v) in zip(mine, others, strict=True)
        )


def straightened(image: Image.Image, corners: Corners) -> Image.Image | None:
    """The symbol as a square with its quiet zone, MODULE_PX a module; None for a speck."""
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
    """The straightened symbol with one grey for each module, taken apart from its neighbours."""
    modules = ImageOps.autocontrast(square.reduce(MODULE_PX), 1)
    size = (modules.width * 4, modules.height * 4)
    for kernel in _APART:
        yield modules.filter(kernel).resize(size, Image.Resampling.NEAREST)


def unbent(square: Image.Image) -> Iterator[Image.Image]:
    """The straightened symbol as it would be, had its sheet been bent like so: each way a little.

    The corners, which were found, stay where they are; the middle moves, or both halves apart.
    """
    for bend in _BENDS:
        for waves in (1, 2):
            for upright in (True, False):
                yield _bent(square, bend * MODULE_PX, waves, upright)


def _bent(square: Image.Image, by: float, waves: int, upright: bool) -> Image.Image:
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

    None where three of the points lie on one line.
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
