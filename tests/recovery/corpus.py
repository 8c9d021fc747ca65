"""Pictures as payers send them: our QR codes, photographed, passed on, cut and darkened, by seed.

Each kind is one thing that happens to a QR between the checkout and the upload. How strong it is
was set by what phones and messengers do (their sizes, qualities and lenses), not by what a decoder
can take; where a decoder fails, the decoder is to be improved. Only the kinds in UNDISTORTED leave
every module as it was drawn.

    python -m tests.recovery.corpus            # the table of results, kind by kind
    python -m tests.recovery.corpus FOLDER     # write the pictures there, to look at them
"""

from __future__ import annotations

import io
import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from core.br_code import encode_dynamic, encode_static
from payments.qr_image import qr_png
from recovery.reading import decode_picture, is_ours
from recovery.reading.pictures import BUDGET_SECONDS
from recovery.reading.straighten import perspective

BASE = "pix.loja.example"
PER_KIND, SEED = 14, 2026
_MODULE_PX = 8
_NAMES = ("Loja da Alice", "Padaria Pao Quente Ltda", "A", "Mercearia do Bairro 24h", "Cafe & Cia")
_CITIES = ("SAO PAULO", "Rio", "Belo Horizonte", "Recife")
HOSTS = (BASE, "pagar.loja-da-alice.com.example")
OTHER_CODES = (
    "https://www.loja.example/cardapio",
    "WIFI:T:WPA;S:Loja;P:bemvindo;;",
    encode_static("alice@example.com", "Outra Loja", "Recife"),
)

Maker = Callable[[random.Random, "Scene"], bytes]


@dataclass(frozen=True)
class Scene:
    """The code that must be found, and its QR as the service draws it: one bit, 8 px a module."""

    text: str
    qr: Image.Image


@dataclass(frozen=True)
class Sample:
    """One picture of the corpus, with the text that stands in it."""

    kind: str
    number: int
    text: str
    data: bytes


def samples(per_kind: int = PER_KIND, seed: int = SEED) -> Iterator[Sample]:
    """Every kind, `per_kind` pictures of each; the same seed gives the same pictures."""
    for kind, make in KINDS.items():
        for number in range(per_kind):
            rng = random.Random(f"{seed}-{kind}-{number}")
            scene = scene_of(rng)
            yield Sample(kind, number, scene.text, make(rng, scene))


def scene_of(rng: random.Random) -> Scene:
    """A code of ours with another token, name and host each time."""
    token = f"{rng.getrandbits(128):032x}"
    location = f"{rng.choice(HOSTS)}/qr/v2/{token}"
    text = encode_dynamic(location, rng.choice(_NAMES), rng.choice(_CITIES))
    return Scene(text, Image.open(io.BytesIO(qr_png(text))).convert("L"))


# --- what a picture is saved as ------------------------------------------------------------------


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The file's bytes; JPEG in quality 85 with halved colour, as phones write it."""
    if kind == "JPEG":
        image = image.convert("RGB")
        options = {"quality": 85, **options}
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
    rng: random.Random, scene: Scene, *, dark: bool = False, inverted: bool = False
) -> Image.Image:
    """A screenshot of the checkout on a phone: status bar, texts, QR card, button.

    The QR is scaled by the browser to the card's width, so that modules have no whole pixels.
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
    side = round(width * rng.uniform(0.62, 0.86))
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
    """What lies around a code in a photograph: surfaces, edges, print."""
    full, size = size, (size[0] // 3, size[1] // 3)  # it lies out of focus anyway
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
    """The QR on paper with a margin, ink not quite black and paper not quite white."""
    ink, paper = rng.randint(5, 45), rng.randint(215, 250)
    margin = round(side * rng.uniform(0.02, 0.15))
    sheet = Image.new("L", (side + 2 * margin, side + 2 * margin), paper)
    qr = scene.qr.resize((side, side), Image.Resampling.LANCZOS)
    sheet.paste(qr.point(lambda v: round(ink + v * (paper - ink) / 255)), (margin, margin))
    return sheet.convert("RGB")


def seen_from(
    rng: random.Random, flat: Image.Image, size: tuple[int, int], angle: float, roll: float
) -> Image.Image:
    """A flat thing photographed by a camera `angle` degrees off its normal, turned by `roll`.

    A pinhole camera at three widths' distance, which is how a phone is held before a screen.
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
    """Noise about 128 (Pillow's own cannot be seeded): the mean of two even ones is a triangle."""
    one, two = (Image.frombytes("L", size, rng.randbytes(size[0] * size[1])) for _ in range(2))
    gain = deviation / 52  # the deviation of that triangle
    grain = Image.blend(one, two, 0.5).point(lambda v: round(128 + (v - 127.5) * gain))
    return Image.merge("RGB", (grain, grain, grain))


def lens(rng: random.Random, photo: Image.Image, *, blur: float, noise: float) -> Image.Image:
    """What lens and sensor add: softness, uneven light towards the corners, grain."""
    photo = photo.filter(ImageFilter.GaussianBlur(blur))
    width, height = photo.size
    light = Image.radial_gradient("L").resize((width, height)).point(lambda v: 255 - v // 3)
    photo = ImageChops.multiply(photo, Image.merge("RGB", (light, light, light)))
    if noise:
        photo = ImageChops.add(photo, _grain(rng, photo.size, noise), scale=1, offset=-128)
    return ImageEnhance.Brightness(photo).enhance(rng.uniform(0.75, 1.25))


def pixel_grid(screen: Image.Image, per_pixel: int = 3) -> Image.Image:
    """The screen as a camera close to it sees it: red, green and blue stripes with dark gaps."""
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
    while filled < size[0]:  # doubled each time: a paste per cell would take minutes
        mask.paste(mask.crop((0, 0, filled, per_pixel)), (filled, 0))
        filled *= 2
    filled = per_pixel
    while filled < size[1]:
        mask.paste(mask.crop((0, 0, size[0], filled)), (0, filled))
        filled *= 2
    return ImageEnhance.Brightness(ImageChops.multiply(large, mask)).enhance(1.6)


def _shot(rng: random.Random, scene: Scene, side: tuple[int, int] = (420, 640)) -> Image.Image:
    return printed(rng, scene, rng.randint(*side))


# --- undistorted ---------------------------------------------------------------------------------


def as_served(_rng: random.Random, scene: Scene) -> bytes:
    """The PNG of the page, saved by its menu."""
    return qr_png(scene.text)


def other_format(rng: random.Random, scene: Scene) -> bytes:
    """The same in another format: JPEG 95, WebP, GIF."""
    kind = rng.choice(("JPEG", "WEBP", "GIF"))
    return saved(scene.qr, kind, **({"quality": 95} if kind == "JPEG" else {}))


def quarter_turn(rng: random.Random, scene: Scene) -> bytes:
    """Turned by 90, 180 or 270 degrees, or seen in a mirror (a front camera)."""
    turns = Image.Transpose
    way = rng.choice((turns.ROTATE_90, turns.ROTATE_180, turns.ROTATE_270, turns.FLIP_LEFT_RIGHT))
    return saved(scene.qr.transpose(way), "PNG")


def screenshot(rng: random.Random, scene: Scene) -> bytes:
    """A phone's screenshot of the light page."""
    return saved(phone_screen(rng, scene), "PNG")


def screenshot_dark(rng: random.Random, scene: Scene) -> bytes:
    """The dark page: the QR stays dark on white, on its card."""
    return saved(phone_screen(rng, scene, dark=True), "PNG")


def inverted(rng: random.Random, scene: Scene) -> bytes:
    """A browser that forces darkness turns the QR's colours round, quiet zone and all."""
    return saved(phone_screen(rng, scene, dark=True, inverted=True), "PNG")


def two_codes(rng: random.Random, scene: Scene) -> bytes:
    """A poster with a code of the shop's site, its network or another Pix beside ours."""
    second = Image.open(io.BytesIO(qr_png(rng.choice(OTHER_CODES)))).convert("L")
    pair = [scene.qr, second]
    rng.shuffle(pair)
    sheet = Image.new("L", (pair[0].width + pair[1].width + 60, 700), 255)
    sheet.paste(pair[0], (20, 20))
    sheet.paste(pair[1], (pair[0].width + 40, rng.randint(20, 120)))
    return saved(sheet, "PNG")


# --- distorted -----------------------------------------------------------------------------------


def jpeg_30(rng: random.Random, scene: Scene) -> bytes:
    """A screenshot in quality 30, after a scaling that put its modules between the pixels."""
    screen = phone_screen(rng, scene, dark=rng.random() < 0.5)
    factor = rng.uniform(0.35, 0.8)
    small = screen.resize((round(screen.width * factor), round(screen.height * factor)))
    return saved(small, quality=30)


def blur(rng: random.Random, scene: Scene) -> bytes:
    """Out of focus: a circle of confusion up to about a module wide."""
    photo = clutter(rng, (800, 800))
    flat = _shot(rng, scene)
    photo.paste(flat, ((800 - flat.width) // 2, (800 - flat.height) // 2))
    module = flat.width / 65
    return saved(lens(rng, photo, blur=module * rng.uniform(0.25, 0.6), noise=6))


def motion_blur(rng: random.Random, scene: Scene) -> bytes:
    """The hand shook: smeared along a line of up to one and a half modules."""
    photo = clutter(rng, (900, 900))
    flat = printed(rng, scene, rng.randint(500, 720))
    photo.paste(flat, ((900 - flat.width) // 2, (900 - flat.height) // 2))
    length = flat.width / 65 * rng.uniform(0.5, 1.5)
    direction = rng.uniform(0, math.pi)
    steps = 9
    smeared = photo.copy()
    for step in range(1, steps):
        shift = (step / (steps - 1) - 0.5) * length
        moved = photo.transform(
            photo.size,
            Image.Transform.AFFINE,
            (1, 0, shift * math.cos(direction), 0, 1, shift * math.sin(direction)),
            Image.Resampling.BILINEAR,
        )
        smeared = Image.blend(smeared, moved, 1 / (step + 1))
    return saved(lens(rng, smeared, blur=0.6, noise=8))


def tilt(rng: random.Random, scene: Scene) -> bytes:
    """Held at any angle in the picture's plane, seen nearly from the front."""
    flat = _shot(rng, scene)
    photo = seen_from(rng, flat, (1000, 1000), rng.uniform(0, 8), rng.uniform(0, 360))
    return saved(lens(rng, photo, blur=0.8, noise=6))


def at_an_angle(rng: random.Random, scene: Scene) -> bytes:
    """Photographed 25 to 50 degrees from the side."""
    flat = printed(rng, scene, rng.randint(600, 900))
    photo = seen_from(rng, flat, (1200, 1200), rng.uniform(25, 50), rng.uniform(-30, 30))
    return saved(lens(rng, photo, blur=rng.uniform(0.6, 1.2), noise=8))


def moire(rng: random.Random, scene: Scene) -> bytes:
    """A photograph of a screen: its stripes beat against the sensor's grid."""
    side = rng.randint(260, 420)
    screen = Image.new("RGB", (side + 40, side + 40), "white")
    screen.paste(scene.qr.resize((side, side), Image.Resampling.BILINEAR), (20, 20))
    grid = pixel_grid(screen)
    seen = rng.randint(620, 900)
    photo = seen_from(rng, grid, (seen, seen), rng.uniform(0, 15), rng.uniform(-8, 8))
    return saved(lens(rng, photo, blur=rng.uniform(0.4, 0.9), noise=10), quality=75)


def small(rng: random.Random, scene: Scene) -> bytes:
    """A thumbnail of 200 pixels with its quiet zone: about three pixels a module."""
    way = rng.choice(list(Image.Resampling)[1:])
    return saved(scene.qr.resize((200, 200), way), quality=rng.randint(60, 90))


def cropped(rng: random.Random, scene: Scene) -> bytes:
    """Cut by hand: no quiet zone left, on some sides into the edge modules, or with stray text."""
    quiet = 4 * _MODULE_PX
    cuts = [rng.randint(quiet // 2, quiet + _MODULE_PX // 2) for _ in range(4)]
    side = scene.qr.width
    cut = scene.qr.crop((cuts[0], cuts[1], side - cuts[2], side - cuts[3]))
    factor = rng.uniform(0.5, 1.1)
    cut = cut.resize((round(cut.width * factor), round(cut.height * factor)))
    return saved(cut, rng.choice(("PNG", "JPEG")))


def messenger(rng: random.Random, scene: Scene) -> bytes:
    """Sent on twice: each time made to fit 1600 and then 1280 px and compressed again."""
    picture = phone_screen(rng, scene, dark=rng.random() < 0.3)
    if rng.random() < 0.5:
        picture = lens(
            rng,
            seen_from(rng, picture, (1500, 2000), rng.uniform(0, 15), rng.uniform(-10, 10)),
            blur=1.0,
            noise=10,
        )
    for most, quality in ((1600, 70), (rng.choice((960, 1280)), 60)):
        picture = again(picture, quality)
        picture.thumbnail((most, most))
    return saved(picture, quality=rng.randint(50, 65))


def hand(rng: random.Random, scene: Scene) -> bytes:
    """A thumb on the corner without a mark: up to a twelfth of the symbol is covered."""
    side = rng.randint(480, 640)
    flat = printed(rng, scene, side)
    photo = clutter(rng, (900, 900))
    at = (900 - flat.width) // 2
    photo.paste(flat, (at, at))
    quiet = side * 4 / 65
    corner = at + (flat.width + side) / 2 - quiet
    symbol = side - 2 * quiet
    # About three quarters of a disc round the corner's inside lie on the symbol.
    covered = rng.uniform(0.02, 0.083)
    radius = symbol * math.sqrt(covered / math.pi / 0.75)
    x, y = corner - radius * 0.6, corner - radius * 0.6
    skin = (rng.randint(90, 225), rng.randint(70, 170), rng.randint(50, 140))
    thumb = Image.new("L", photo.size, 0)
    draw = ImageDraw.Draw(thumb)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    draw.line((x, y, x + 400, y + 400), fill=255, width=round(2 * radius))
    photo.paste(skin, (0, 0), thumb.filter(ImageFilter.GaussianBlur(2)))
    return saved(lens(rng, photo, blur=rng.uniform(0.6, 1.4), noise=8))


def glare(rng: random.Random, scene: Scene) -> bytes:
    """A lamp mirrored in the glass, and its half shade over the rest."""
    flat = printed(rng, scene, rng.randint(480, 640))
    photo = seen_from(rng, flat, (900, 900), rng.uniform(5, 20), rng.uniform(-15, 15))
    spot = Image.new("L", photo.size, 0)
    size = rng.randint(160, 300)
    x, y = rng.randint(250, 650), rng.randint(250, 650)
    ImageDraw.Draw(spot).ellipse(
        (x - size, y - size, x + size, y + size), fill=rng.randint(120, 230)
    )
    spot = spot.filter(ImageFilter.GaussianBlur(size / 3))
    photo = ImageChops.add(photo, spot.convert("RGB"))
    return saved(lens(rng, photo, blur=0.9, noise=6))


def shade(rng: random.Random, scene: Scene) -> bytes:
    """The photographer's shadow falls over a part, with a hard edge."""
    flat = printed(rng, scene, rng.randint(480, 640))
    photo = seen_from(rng, flat, (900, 900), rng.uniform(0, 15), rng.uniform(-20, 20))
    dark = ImageEnhance.Brightness(photo).enhance(rng.uniform(0.25, 0.45))
    edge = Image.new("L", photo.size, 0)
    a, b = rng.randint(0, 900), rng.randint(0, 900)
    ImageDraw.Draw(edge).polygon([(0, 0), (a, 0), (b, 900), (0, 900)], fill=255)
    photo.paste(dark, (0, 0), edge.filter(ImageFilter.GaussianBlur(rng.uniform(2, 25))))
    return saved(lens(rng, photo, blur=0.9, noise=8))


def low_light(rng: random.Random, scene: Scene) -> bytes:
    """A dim bar: little contrast, much grain, a yellow lamp."""
    flat = printed(rng, scene, rng.randint(480, 700))
    photo = seen_from(rng, flat, (1000, 1000), rng.uniform(0, 15), rng.uniform(-15, 15))
    photo = ImageEnhance.Brightness(photo).enhance(rng.uniform(0.18, 0.32))
    lamp = Image.new("RGB", photo.size, (255, 214, 150))
    photo = ImageChops.multiply(photo, lamp)
    return saved(lens(rng, photo, blur=1.0, noise=rng.uniform(12, 20)), quality=70)


def far_away(rng: random.Random, scene: Scene) -> bytes:
    """Twelve megapixels in which the code takes little: a poster across the room."""
    photo = clutter(rng, (4000, 3000))
    flat = printed(rng, scene, rng.randint(300, 420))
    degrees = rng.uniform(-12, 12)
    mask = Image.new("L", flat.size, 255).rotate(degrees, expand=True)
    turned = flat.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    photo.paste(turned, (rng.randint(200, 3300), rng.randint(200, 2300)), mask)
    return saved(lens(rng, photo, blur=0.9, noise=6), quality=80)


def screen_photo(rng: random.Random, scene: Scene) -> bytes:
    """All at once, as it comes most often: a phone's screen, from the side, in a lamp's light."""
    screen = phone_screen(rng, scene, dark=rng.random() < 0.4)
    size = (1500, 2000)
    photo = seen_from(rng, screen, size, rng.uniform(10, 30), rng.uniform(-20, 20))
    spot = Image.new("L", size, 0)
    x, y = rng.randint(300, 1200), rng.randint(400, 1600)
    ImageDraw.Draw(spot).ellipse((x - 200, y - 200, x + 200, y + 200), fill=110)
    photo = ImageChops.add(photo, spot.filter(ImageFilter.GaussianBlur(80)).convert("RGB"))
    photo = lens(rng, photo, blur=rng.uniform(0.8, 1.6), noise=10)
    return saved(again(photo, 70), quality=70)


def receipt_paper(rng: random.Random, scene: Scene) -> bytes:
    """Thermal paper: grey ink, missing lines of the print head, a sheet that does not lie flat."""
    flat = printed(rng, scene, rng.randint(420, 560)).convert("L")
    flat = flat.point(lambda v: 90 + v * 150 // 255)
    draw = ImageDraw.Draw(flat)
    for _ in range(rng.randint(1, 4)):
        x = rng.randint(0, flat.width)
        draw.line((x, 0, x, flat.height), 235, 2)
    bend, waves = flat.width * rng.uniform(0.006, 0.02), rng.uniform(0.6, 1.4)
    strips = 48
    mesh = []
    for strip in range(strips):
        left, right = (flat.width * strip // strips, flat.width * (strip + 1) // strips)
        a = bend * math.sin(2 * math.pi * waves * left / flat.width)
        b = bend * math.sin(2 * math.pi * waves * right / flat.width)
        quad = (left, a, left, flat.height + a, right, flat.height + b, right, b)
        mesh.append(((left, 0, right, flat.height), quad))
    bent = flat.transform(flat.size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC)
    photo = seen_from(
        rng, bent.convert("RGB"), (900, 900), rng.uniform(0, 15), rng.uniform(-20, 20)
    )
    return saved(lens(rng, photo, blur=1.0, noise=8))


UNDISTORTED: dict[str, Maker] = {
    "as served": as_served,
    "other format": other_format,
    "quarter turn": quarter_turn,
    "screenshot": screenshot,
    "screenshot, dark page": screenshot_dark,
    "inverted": inverted,
    "two codes": two_codes,
}
DISTORTED: dict[str, Maker] = {
    "JPEG 30": jpeg_30,
    "blur": blur,
    "motion blur": motion_blur,
    "tilt": tilt,
    "at an angle": at_an_angle,
    "moiré": moire,
    "200 px": small,
    "cropped": cropped,
    "messenger": messenger,
    "hand": hand,
    "glare": glare,
    "shade": shade,
    "low light": low_light,
    "far away": far_away,
    "photo of a screen": screen_photo,
    "receipt paper": receipt_paper,
}
KINDS: dict[str, Maker] = {**UNDISTORTED, **DISTORTED}


@dataclass(frozen=True)
class Result:
    """What was read in one picture of the corpus."""

    kind: str
    is_found: bool
    wrong: tuple[str, ...]
    """Texts that nobody put into the picture."""
    rung: str | None
    looked_ms: int


def results(
    per_kind: int = PER_KIND, seed: int = SEED, budget_seconds: float = BUDGET_SECONDS
) -> Iterator[Result]:
    """Read the whole corpus, picture by picture."""
    for sample in samples(per_kind, seed):
        read = decode_picture(sample.data, is_ours=is_ours_in_corpus, budget_seconds=budget_seconds)
        expected = {sample.text, *beside(sample)}
        yield Result(
            sample.kind,
            sample.text in read.texts,
            tuple(text for text in read.texts if text not in expected),
            read.rung,
            read.looked_ms,
        )


def is_ours_in_corpus(text: str) -> bool:
    """Whether the text is a code at one of the corpus's hosts."""
    return any(is_ours(text, location_base=host) for host in HOSTS)


def beside(sample: Sample) -> tuple[str, ...]:
    """The other codes that the picture may show."""
    return OTHER_CODES if sample.kind == "two codes" else ()


def table(found: Iterable[Result]) -> str:
    """The results kind by kind, and by the rung that found them."""
    kinds: dict[str, list[Result]] = {}
    rungs: dict[str, int] = {}
    for result in found:
        kinds.setdefault(result.kind, []).append(result)
        if result.is_found and result.rung:
            rungs[result.rung] = rungs.get(result.rung, 0) + 1
    lines = [f"{'kind':<24}{'found':>9}{'wrong':>7}{'median ms':>11}{'max ms':>8}"]
    for kind, of_kind in [*kinds.items(), ("all", [r for rs in kinds.values() for r in rs])]:
        spent = sorted(result.looked_ms for result in of_kind)
        score = f"{sum(result.is_found for result in of_kind)}/{len(of_kind)}"
        wrong = sum(len(result.wrong) for result in of_kind)
        middle = spent[len(spent) // 2]
        lines.append(f"{kind:<24}{score:>9}{wrong:>7}{middle:>11}{spent[-1]:>8}")
    ranked = sorted(rungs.items(), key=lambda rung: -rung[1])
    return "\n".join([*lines, "", *(f"{name:<24}{count:>9}" for name, count in ranked)])


def _write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    endings = {b"\x89P": "png", b"GI": "gif", b"RI": "webp"}
    for sample in samples():
        name = f"{sample.kind}-{sample.number:02d}.{endings.get(sample.data[:2], 'jpg')}"
        (folder / name).write_bytes(sample.data)


def main() -> None:
    """The table of results, or the pictures in a folder."""
    if len(sys.argv) > 1:
        _write(Path(sys.argv[1]))
    else:
        sys.stdout.write(table(results()) + "\n")


if __name__ == "__main__":
    main()
