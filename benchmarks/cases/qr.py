"""CPU time for the first picture of a QR, in this process."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.report import Outcome, median
from core.ids import new_watch_code
from core.pix.br_code import encode_dynamic
from payments.qr_image import qr_png, qr_svg

CODES = 200
BOUND_MS = 1.5


def measure(_folder: Path, _database_url: str, rounds: int = 1) -> list[Outcome]:
    """Measure median CPU milliseconds for codes that are not cached."""
    outcomes = []
    for name, draw in (("PNG", qr_png), ("SVG", qr_svg)):
        milliseconds = []
        for _ in range(CODES * rounds):
            code = encode_dynamic(f"127.0.0.1:5000/qr/v2/{new_watch_code()}", "Loja", "Cidade")
            started = time.process_time()
            draw(code)
            milliseconds.append((time.process_time() - started) * 1000)
        outcomes.append(
            Outcome(
                f"QR first made, {name}",
                median(milliseconds),
                BOUND_MS,
                "ms of CPU; bare is the limit",
                1.0,
                "lower",
                rounds,
            )
        )
    return outcomes
