"""The kinds of slow work of the service: the places of all of them fit into one pool."""

from __future__ import annotations

import re
from pathlib import Path

from accounts import passwords
from bank.codes import pictures as scans
from bank.money import payers
from blueprints.portal import logos
from blueprints.recovery.reading import pictures
from core.runtime.offload import POOL_THREADS

ROOT = Path(__file__).resolve().parents[2]
KINDS = (passwords, payers, pictures, logos, scans)


def test_the_places_of_all_kinds_fit_into_the_smallest_pool() -> None:
    """The hubs have one pool: kinds that could fill it would wait for each other after all."""
    assert sum(kind._places.at_once_max for kind in KINDS) < POOL_THREADS
    sources = [
        path
        for folder in ("accounts", "bank", "blueprints", "core", "payments", "web")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"= Places\(", path.read_text())
    ]
    assert len(sources) == len(KINDS)
