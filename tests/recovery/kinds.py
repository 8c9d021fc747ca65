"""The kinds of pictures that payers send; each kind applies one distortion to a QR.

The strength of a distortion comes from real phones and messengers (sizes, qualities, lenses), not
from what the decoder can read. If the decoder fails, improve the decoder. Only the kinds in
UNDISTORTED keep every module intact.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from core.pix.br_code import encode_static
from payments.qr_image import qr_png
from tests.recovery.scenery import (
    Scene,
    again,
    clutter,
    lens,
    phone_screen,
    pixel_grid,
    printed,
    saved,
    seen_from,
    shot,
)

_MODULE_PX = 8
OTHER_CODES = (
    "https://www.loja.example/cardapio",
    "WIFI:T:WPA;S:Loja;P:bemvindo;;",
    encode_static("alice@example.com", "Outra Loja", "Recife"),
)

Maker = Callable[[random.Random, Scene], bytes]


# --- undistorted ---------------------------------------------------------------------------------


def as_served(_rng: random.Random, scene: Scene) -> bytes:
    """The PNG of the page, saved by its menu."""
    return qr_png(scene.text)


def other_format(rng: random.Random, scene: Scene) -> bytes:
    """The QR in another format: JPEG 95, WebP, GIF."""
    kind = rng.choice(("JPEG", "WEBP", "GIF"))
    return saved(scene.qr, kind, **({"quality": 95} if kind == "JPEG" else {}))


def quarter_turn(rng: random.Random, scene: Scene) -> bytes:
    """Rotated by 90, 180 or 270 degrees, or mirrored (a front camera)."""
    turns = Image.Transpose
    way = rng.choice((turns.ROTATE_90, turns.ROTATE_180, turns.ROTATE_270, turns.FLIP_LEFT_RIGHT))
    return saved(scene.qr.transpose(way), "PNG")


def screenshot(rng: random.Random, scene: Scene) -> bytes:
    """A phone's screenshot of the light page."""
    return saved(phone_screen(rng, scene), "PNG")


def screenshot_dark(rng: random.Random, scene: Scene) -> bytes:
    """A screenshot of the dark page, whose QR stays dark on white."""
    return saved(phone_screen(rng, scene, dark=True), "PNG")


def screenshot_folded(rng: random.Random, scene: Scene) -> bytes:
    """A screenshot of the page with the fold closed; the QR has 96 of the screen's 390 CSS px."""
    return saved(phone_screen(rng, scene, dark=rng.random() < 0.5, share=96 / 390), "PNG")


def inverted(rng: random.Random, scene: Scene) -> bytes:
    """A browser's forced dark mode inverts the QR with its quiet zone."""
    return saved(phone_screen(rng, scene, dark=True, inverted=True), "PNG")


def two_codes(rng: random.Random, scene: Scene) -> bytes:
    """A poster with a URL, a Wi-Fi code or another Pix beside our code."""
    second = Image.open(io.BytesIO(qr_png(rng.choice(OTHER_CODES)))).convert("L")
    pair = [scene.qr, second]
    rng.shuffle(pair)
    sheet = Image.new("L", (pair[0].width + pair[1].width + 60, 700), 255)
    sheet.paste(pair[0], (20, 20))
    sheet.paste(pair[1], (pair[0].width + 40, rng.randint(20, 120)))
    return saved(sheet, "PNG")


# --- distorted -----------------------------------------------------------------------------------


def jpeg_30(rng: random.Random, scene: Scene) -> bytes:
    """A scaled screenshot in quality 30, whose modules do not align with pixels."""
    screen = phone_screen(rng, scene, dark=rng.random() < 0.5)
    factor = rng.uniform(0.35, 0.8)
    small = screen.resize((round(screen.width * factor), round(screen.height * factor)))
    return saved(small, quality=30)


def blur(rng: random.Random, scene: Scene) -> bytes:
    """Out of focus, by up to about a module."""
    photo = clutter(rng, (800, 800))
    flat = shot(rng, scene)
    photo.paste(flat, ((800 - flat.width) // 2, (800 - flat.height) // 2))
    module = flat.width / 65
    return saved(lens(rng, photo, blur=module * rng.uniform(0.25, 0.6), noise=6))


def motion_blur(rng: random.Random, scene: Scene) -> bytes:
    """A shaking hand: smeared by up to one and a half modules."""
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
    """Rotated by any angle, and photographed nearly from the front."""
    flat = shot(rng, scene)
    photo = seen_from(rng, flat, (1000, 1000), rng.uniform(0, 8), rng.uniform(0, 360))
    return saved(lens(rng, photo, blur=0.8, noise=6))


def at_an_angle(rng: random.Random, scene: Scene) -> bytes:
    """Photographed 25 to 50 degrees from the side."""
    flat = printed(rng, scene, rng.randint(600, 900))
    photo = seen_from(rng, flat, (1200, 1200), rng.uniform(25, 50), rng.uniform(-30, 30))
    return saved(lens(rng, photo, blur=rng.uniform(0.6, 1.2), noise=8))


def moire(rng: random.Random, scene: Scene) -> bytes:
    """A photo of a screen, whose stripes interfere with the sensor's grid."""
    side = rng.randint(260, 420)
    screen = Image.new("RGB", (side + 40, side + 40), "white")
    screen.paste(scene.qr.resize((side, side), Image.Resampling.BILINEAR), (20, 20))
    grid = pixel_grid(screen)
    photo_side = rng.randint(620, 900)
    photo = seen_from(rng, grid, (photo_side, photo_side), rng.uniform(0, 15), rng.uniform(-8, 8))
    return saved(lens(rng, photo, blur=rng.uniform(0.4, 0.9), noise=10), quality=75)


def small(rng: random.Random, scene: Scene) -> bytes:
    """A thumbnail of 200 px with its quiet zone, about three px per module."""
    way = rng.choice(list(Image.Resampling)[1:])
    return saved(scene.qr.resize((200, 200), way), quality=rng.randint(60, 90))


def cropped(rng: random.Random, scene: Scene) -> bytes:
    """Cropped by hand: part of the quiet zone is missing, and some edge modules."""
    quiet = 4 * _MODULE_PX
    cuts = [rng.randint(quiet // 2, quiet + _MODULE_PX // 2) for _ in range(4)]
    side = scene.qr.width
    cut = scene.qr.crop((cuts[0], cuts[1], side - cuts[2], side - cuts[3]))
    factor = rng.uniform(0.5, 1.1)
    cut = cut.resize((round(cut.width * factor), round(cut.height * factor)))
    return saved(cut, rng.choice(("PNG", "JPEG")))


def messenger(rng: random.Random, scene: Scene) -> bytes:
    """Forwarded twice: fitted into 1600 and then 1280 px, and compressed each time."""
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
    """A thumb covers the corner without a finder pattern, up to a twelfth of the symbol."""
    side = rng.randint(480, 640)
    flat = printed(rng, scene, side)
    photo = clutter(rng, (900, 900))
    at = (900 - flat.width) // 2
    photo.paste(flat, (at, at))
    quiet = side * 4 / 65
    corner = at + (flat.width + side) / 2 - quiet
    symbol = side - 2 * quiet
    # About three quarters of the thumb's disc are on the symbol.
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
    """A lamp reflected in the glass."""
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
    """The photographer's shadow with a hard edge."""
    flat = printed(rng, scene, rng.randint(480, 640))
    photo = seen_from(rng, flat, (900, 900), rng.uniform(0, 15), rng.uniform(-20, 20))
    dark = ImageEnhance.Brightness(photo).enhance(rng.uniform(0.25, 0.45))
    edge = Image.new("L", photo.size, 0)
    a, b = rng.randint(0, 900), rng.randint(0, 900)
    ImageDraw.Draw(edge).polygon([(0, 0), (a, 0), (b, 900), (0, 900)], fill=255)
    photo.paste(dark, (0, 0), edge.filter(ImageFilter.GaussianBlur(rng.uniform(2, 25))))
    return saved(lens(rng, photo, blur=0.9, noise=8))


def low_light(rng: random.Random, scene: Scene) -> bytes:
    """A dim bar with a yellow lamp: little contrast, much grain."""
    flat = printed(rng, scene, rng.randint(480, 700))
    photo = seen_from(rng, flat, (1000, 1000), rng.uniform(0, 15), rng.uniform(-15, 15))
    photo = ImageEnhance.Brightness(photo).enhance(rng.uniform(0.18, 0.32))
    lamp = Image.new("RGB", photo.size, (255, 214, 150))
    photo = ImageChops.multiply(photo, lamp)
    return saved(lens(rng, photo, blur=1.0, noise=rng.uniform(12, 20)), quality=70)


def far_away(rng: random.Random, scene: Scene) -> bytes:
    """A poster across the room: a small code in twelve megapixels."""
    photo = clutter(rng, (4000, 3000))
    flat = printed(rng, scene, rng.randint(300, 420))
    degrees = rng.uniform(-12, 12)
    mask = Image.new("L", flat.size, 255).rotate(degrees, expand=True)
    turned = flat.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    # Blur only the code, because blurring twelve megapixels takes half of the time.
    x0, top = rng.randint(200, 3300), rng.randint(200, 2300)
    photo.paste(turned, (x0, top), mask)
    around = (x0 - 8, top - 8, x0 + turned.width + 8, top + turned.height + 8)
    photo.paste(photo.crop(around).filter(ImageFilter.GaussianBlur(0.9)), around[:2])
    return saved(lens(rng, photo, blur=0, noise=6), quality=80)


def screen_photo(rng: random.Random, scene: Scene) -> bytes:
    """The most common case: a phone's screen, from the side, with a lamp's reflection."""
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
    """Thermal paper: grey ink, missing lines, a bent sheet."""
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
        x0, x1 = (flat.width * strip // strips, flat.width * (strip + 1) // strips)
        a = bend * math.sin(2 * math.pi * waves * x0 / flat.width)
        b = bend * math.sin(2 * math.pi * waves * x1 / flat.width)
        quad = (x0, a, x0, flat.height + a, x1, flat.height + b, x1, b)
        mesh.append(((x0, 0, x1, flat.height), quad))
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
    "screenshot, folded QR": screenshot_folded,
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
