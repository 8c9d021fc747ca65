"""Looks of shops for the tests of pages, with texts that a page must escape."""

from __future__ import annotations

HOSTILE = "<b>'\"&amp;%s %(x)s {{ 7*7 }}</b>"
LOOKS: tuple[dict[str, str], ...] = (
    {},
    {"name": HOSTILE, "support_url": "mailto:a@example.com?x=%s&y=<", "institution": HOSTILE},
    {
        "name": "Ⅷ çasa de nome muito comprido que não cabe em uma linha da tela",
        "pix_key": "52998224725",
        "brand_color": "#aa3300",
        "logo_url": "/logos/x.png?a&b",
        "shop_url": "https://shop.example/?a=1&b=2",
        "support_url": "https://shop.example/help",
        "support_contact": HOSTILE,
    },
)
