"""Simulate how a QR becomes an upload: screen, paper, surroundings, lens, file."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from blueprints.recovery.reading.straighten import perspective


@dataclass(frozen=True)
class Scene:
    """A code, and its QR as the service draws it: one bit, 8 px per module."""

    text: str
    qr: Image.Image


# --- what a picture is saved as ------------------------------------------------------------------


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The file's bytes; JPEG in quality 85 with subsampled colour, as phones write it."""
    if kind == "JPEG":
        image = image.convert("RGB")
        options = {"quality": 85, **options}
    if kind == "PNG":
        options = {"compress_level": 1, **options}  # the same pixels in a third of the time
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def again(image: Image.Image, quality: int) -> Image.Image:
    """The picture after one more compression."""
    return Image.open(io.BytesIO(saved(image, quality=quality))).convert("RGB")


# --- where a QR stands ---------------------------------------------------------------------------


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def phone_screen(
    rng: random.Random,
    scene: Scene,
    *,
    dark: bool = False,
    inverted: bool = False,
    share: float | None = None,
) -> Image.Image:
    """A screenshot of the checkout on a phone: status bar, texts, QR card, button.

    The browser scales the QR to the card, so that modules do not align with pixels. The QR takes
    `share` of the screen's width, by default 62 to 86 %.
    """
    width = rng.choice((720, 1080, 1170, 1440))
    height = round(width * rng.choice((1.78, 2.0, 2.17, 2.22)))
    ground, ink, card = (
        ("#10141a", "#e8eaed", "#1c222b") if dark else ("#f6f7f9", "#16191d", "#fff")
    )
    screen = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(screen)
    em = width // 24
    draw.text((em, em // 2), f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}", ink, _font(em))
    draw.rounded_rectangle((width - 3 * em, em * 0.6, width - em, em * 1.4), em // 4, ink)
    draw.text((em, 3 * em), "Pague com Pix", ink, _font(int(em * 1.6)))
    draw.text((em, 6 * em), f"R$ {rng.randint(5, 900)},90", ink, _font(int(em * 2.2)))
    side = round(width * (share or rng.uniform(0.62, 0.86)))
    x, y = (width - side) // 2, round(height * rng.uniform(0.28, 0.36))
    draw.rounded_rectangle((x - em, y - em, x + side + em, y + side + em), em, card)
    qr = scene.qr.resize((side, side), Image.Resampling.BILINEAR)
    screen.paste(ImageOps.invert(qr) if inverted else qr, (x, y))
    below = y + side + 2 * em
    draw.rounded_rectangle((em, below, width - em, below + 3 * em), em // 2, "#0b6e4f")
    draw.text((width // 2 - 5 * em, below + em * 0.8), "Copiar código Pix", "#fff", _font(em))
    for line in range(4):
        text = "Abra o app do banco e escolha Pix"[: rng.randint(12, 33)]
        draw.text((em, below + (5 + 2 * line) * em), text, ink, _font(em))
    return screen


def clutter(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """The surroundings of a code in a photo: surfaces, edges, print."""
    full, size = size, (size[0] // 3, size[1] // 3)  # it is out of focus anyway
    base = tuple(rng.randint(40, 215) for _ in range(3))
    scene = Image.new("RGB", size, base)
    draw = ImageDraw.Draw(scene)
    for _ in range(rng.randint(6, 14)):
        x, y = rng.randint(0, size[0]), rng.randint(0, size[1])
        w, h = rng.randint(10, size[0] // 2), rng.randint(10, size[1] // 2)
        colour = tuple(max(0, min(255, channel + rng.randint(-70, 70))) for channel in base)
        shape = rng.choice((draw.rectangle, draw.ellipse))
        shape((x - w // 2, y - h // 2, x + w // 2, y + h // 2), fill=colour)
    for _ in range(rng.randint(2, 6)):
        place = (rng.randint(0, size[0]), rng.randint(0, size[1]))
        draw.text(place, "Promocao 2 por 1 - cafe - pao", (30, 30, 30), _font(rng.randint(8, 20)))
    return scene.resize(full, Image.Resampling.BICUBIC)


def printed(rng: random.Random, scene: Scene, side: int) -> Image.Image:
    """The QR on paper with a margin; the ink is not quite black, the paper not quite white."""
    ink, paper = rng.randint(5, 45), rng.randint(215, 250)
    margin = round(side * rng.uniform(0.02, 0.15))
    sheet = Image.new("L", (side + 2 * margin, side + 2 * margin), paper)
    qr = scene.qr.resize((side, side), Image.Resampling.LANCZOS)
    sheet.paste(qr.point(lambda v: round(ink + v * (paper - ink) / 255)), (margin, margin))
    return sheet.convert("RGB")


def seen_from(
    rng: random.Random, flat: Image.Image, size: tuple[int, int], angle: float, roll: float
) -> Image.Image:
    """Photograph a flat picture `angle` degrees off its normal, rotated by `roll` degrees.

    The pinhole camera is three widths away, as a phone in front of a screen.
    """
    direction = rng.uniform(0, 2 * math.pi)
    tilt, turn = math.radians(angle), math.radians(roll)
    ratio = flat.height / flat.width
    corners: list[tuple[float, float]] = []
    for x, y in ((-1.0, -ratio), (1.0, -ratio), (1.0, ratio), (-1.0, ratio)):
        along = x * math.cos(direction) + y * math.sin(direction)
        across = -x * math.sin(direction) + y * math.cos(direction)
        depth = 6 + along * math.sin(tilt)
        along, across = along * math.cos(tilt) * 6 / depth, across * 6 / depth
        x2 = along * math.cos(direction + turn) - across * math.sin(direction + turn)
        y2 = along * math.sin(direction + turn) + across * math.cos(direction + turn)
        corners.append((x2, y2))
    reach = max(max(abs(x) / size[0], abs(y) / size[1]) for x, y in corners) * 2
    scale = rng.uniform(0.7, 0.95) / reach
    target = tuple((size[0] / 2 + x * scale, size[1] / 2 + y * scale) for x, y in corners)
    source = ((0, 0), (flat.width, 0), (flat.width, flat.height), (0, flat.height))
    numbers = perspective(target, source)
    assert numbers is not None
    method, bicubic = Image.Transform.PERSPECTIVE, Image.Resampling.BICUBIC
    photo = clutter(rng, size)
    mask = Image.new("L", flat.size, 255).transform(size, method, numbers)
    photo.paste(flat.transform(size, method, numbers, bicubic), (0, 0), mask)
    return photo


def _grain(rng: random.Random, size: tuple[int, int], deviation: float) -> Image.Image:
    """Seeded noise around 128, the mean of two uniform ones; Pillow's noise has no seed."""
    one, two = (Image.frombytes("L", size, rng.randbytes(size[0] * size[1])) for _ in range(2))
    gain = deviation / 52  # the deviation of that mean
    grain = Image.blend(one, two, 0.5).point(lambda v: round(128 + (v - 127.5) * gain))
    return Image.merge("RGB", (grain, grain, grain))


def lens(rng: random.Random, photo: Image.Image, *, blur: float, noise: float) -> Image.Image:
    """Add what lens and sensor add: blur, darker corners, grain."""
    if blur:
        photo = photo.filter(ImageFilter.GaussianBlur(blur))
    photo = ImageChops.multiply(photo, _falloff(photo.size))
    if noise:
        photo = ImageChops.add(photo, _grain(rng, photo.size, noise), scale=1, offset=-128)
    return ImageEnhance.Brightness(photo).enhance(rng.uniform(0.75, 1.25))


@lru_cache(maxsize=4)
def _falloff(size: tuple[int, int]) -> Image.Image:
    light = Image.radial_gradient("L").resize(size).point(lambda v: 255 - v // 3)
    return Image.merge("RGB", (light, light, light))


def pixel_grid(screen: Image.Image, per_pixel: int = 3) -> Image.Image:
    """The screen in close-up: red, green and blue stripes with dark gaps."""
    size = (screen.width * per_pixel, screen.height * per_pixel)
    large = screen.resize(size, Image.Resampling.NEAREST)
    cell = Image.new("RGB", (per_pixel, per_pixel))
    for x, colour in enumerate(((255, 70, 70), (70, 255, 70), (70, 70, 255))):
        for y in range(per_pixel):
            shade = tuple(c * 6 // 10 for c in colour) if y == per_pixel - 1 else colour
            cell.putpixel((x, y), shade)
    mask = Image.new("RGB", size)
    mask.paste(cell, (0, 0))
    filled = per_pixel
    while filled < size[0]:  # doubles, because one paste per cell would take minutes
        mask.paste(mask.crop((0, 0, filled, per_pixel)), (filled, 0))
        filled *= 2
    filled = per_pixel
    while filled < size[1]:
        mask.paste(mask.crop((0, 0, size[0], filled)), (0, filled))
        filled *= 2
    return ImageEnhance.Brightness(ImageChops.multiply(large, mask)).enhance(1.6)


def shot(rng: random.Random, scene: Scene, side: tuple[int, int] = (420, 640)) -> Image.Image:
    return printed(rng, scene, rng.randint(*side))
