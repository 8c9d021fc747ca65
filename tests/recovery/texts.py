"""What the tests of texts share: a payment's code with its token, an id, and their base."""

from __future__ import annotations

from blueprints.recovery.reading import Reading, read_text
from core.pix.br_code import encode_dynamic

BASE = "pix.loja.example"
TOKEN = "8b3da2f39a4140d1a91abd93113bd441"
ID = "4f0c2d1e9a8b7c6d5e4f3a2b1c0d9e8f"
CODE = encode_dynamic(f"{BASE}/qr/v2/{TOKEN}", "Loja da Alice", "SAO PAULO")


def read(text: str, base: str = BASE) -> Reading:
    """The text as the service at this base reads it."""
    return read_text(text, location_base=base)
