"""Register the commands of accounts at banks."""

from __future__ import annotations

from flask import Flask

from providers import commands


def init_providers(app: Flask) -> None:
    """Add `flask provider`."""
    commands.register(app)
