"""Register the commands of accounts at banks."""

from __future__ import annotations

from flask import Flask

from providers import check_commands, commands, entry_commands

COMMAND_MODULES = (entry_commands, check_commands)
"""They add their commands to the group when they are imported."""


def init_providers(app: Flask) -> None:
    """Add `flask provider`."""
    commands.register(app)
