"""Small pictures that take a decoder long to unpack."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from PIL import Image


@lru_cache(maxsize=8)
def many_scans(kind: str, side: int, repeats: int = 40) -> bytes:
    """A progressive JPEG or MPO of side × side px whose last scan is there `repeats` times more.

    A decoder goes over all pixels once for each scan, and a scan of one shade has a few bytes.
    """
    grey = Image.new("L", (side, side), 128)
    more: dict[str, Any] = {}
    if kind == "MPO":
        more = {"save_all": True, "append_images": [grey.resize((64, 64))]}
    out = io.BytesIO()
    grey.save(out, kind, progressive=True, quality=50, **more)
    data = out.getvalue()
    end = data.find(b"\xff\xd9")
    scan = data.rfind(b"\xff\xda", 0, end)
    return data[:end] + data[scan:end] * repeats + data[end:]
