"""A merchant's colour on its pages: buttons keep it, text in it is changed if it needs contrast.

WCAG 2.2 (1.4.3) requires a contrast of at least 4.5 for text. The text on a button is black or
white, whichever is read better. As text on the page, a pale colour is darkened for light pages and
a dark colour is lightened for dark pages; a readable colour stays as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache

Rgb = tuple[int, int, int]

WHITE: Rgb = (255, 255, 255)
BLACK: Rgb = (0, 0, 0)
LIGHT_SURFACE: Rgb = WHITE
DARK_SURFACE: Rgb = (0x15, 0x1D, 0x1A)
"""`--surface` of tokens.css."""

CONTRAST_LIGHT, CONTRAST_DARK = 5.6, 6.4
"""The contrast to the surface: over 4.5, because the colour is also used on tinted grounds."""
CONTRAST_TEXT, CONTRAST_EDGE = 4.5, 3.0
"""The least for text on a button, and for a button without an edge of another colour (1.4.11)."""
HOVER_SHARE, PRESS_SHARE = 0.12, 0.2

_COLOR = re.compile(r"#([0-9a-fA-F]{6})")
_STEPS = 64


def parse_color(text: str) -> str | None:
    """`#rrggbb` in lower case, or None for anything else."""
    return text.lower() if _COLOR.fullmatch(text) else None


def luminance(color: Rgb) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [part / 255 for part in color]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Rgb, other: Rgb) -> float:
    """Contrast ratio (WCAG 2.2), 1 to 21."""
    first, second = sorted((luminance(one), luminance(other)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def mix(color: Rgb, other: Rgb, share: float) -> Rgb:
    """The colour mixed with another, whose share is 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(color, other, strict=True))
    return red, green, blue


def readable(color: Rgb, ground: Rgb, toward: Rgb, least: float) -> Rgb:
    """The colour, or the nearest colour on the way to `toward` that has the contrast `least`."""
    for step in range(_STEPS + 1):
        candidate = mix(color, toward, step / _STEPS)
        if contrast(candidate, ground) >= least:
            return candidate
    return toward


@lru_cache(maxsize=512)
def style_sheet(color: str) -> str:
    """The custom properties of tokens.css that depend on `#rrggbb`, for light and dark pages."""
    own = _rgb(color)
    light = readable(own, LIGHT_SURFACE, BLACK, CONTRAST_LIGHT)
    dark = readable(own, DARK_SURFACE, WHITE, CONTRAST_DARK)
    button = _button(own)
    on_light = {
        "action": light,
        "action-hover": mix(light, BLACK, 0.16),
        "action-press": mix(light, BLACK, 0.32),
        "action-tint": mix(WHITE, light, 0.09),
        **button,
        "button-edge": own if contrast(own, LIGHT_SURFACE) >= CONTRAST_EDGE else light,
    }
    on_dark = {
        "action": dark,
        "action-hover": mix(dark, WHITE, 0.2),
        "action-press": mix(dark, WHITE, 0.08),
        "action-tint": mix(DARK_SURFACE, dark, 0.12),
        **button,
        "button-edge": own if contrast(own, DARK_SURFACE) >= CONTRAST_EDGE else dark,
    }
    return (
        f":root{{{_declarations(on_light)}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{_declarations(on_dark)}}}}}"
    )


def button_ink(color: str) -> str:
    """`#000000` or `#ffffff`: the text colour on a button of this `#rrggbb`."""
    red, green, blue = _button(_rgb(color))["on-action"]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _button(own: Rgb) -> dict[str, Rgb]:
    """A button in the colour itself, with black or white text, for light and dark pages."""
    text, other = (BLACK, WHITE) if contrast(own, BLACK) >= contrast(own, WHITE) else (WHITE, BLACK)
    # A step toward the text's colour is seen on every colour, even on black and white; a middling
    # colour has no contrast left for it.
    room = contrast(mix(own, text, PRESS_SHARE), text) >= CONTRAST_TEXT
    toward = text if room else other
    return {
        "button": own,
        "button-hover": mix(own, toward, HOVER_SHARE),
        "button-press": mix(own, toward, PRESS_SHARE),
        "on-action": text,
    }


def _rgb(color: str) -> Rgb:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _declarations(properties: dict[str, Rgb]) -> str:
    return ";".join(
        f"--{name}:#{red:02x}{green:02x}{blue:02x}"
        for name, (red, green, blue) in properties.items()
    )
