"""Register the commands of accounts at banks."""

from __future__ import annotations

from flask import Flask

from config import ConfigurationError, Settings
from providers import check_commands, commands, entry_commands
from providers.api_pix.profiles import ProfileError, check_folder

COMMAND_MODULES = (entry_commands, check_commands)
"""They add their commands to the group when they are imported."""


def init_providers(app: Flask, settings: Settings) -> None:
    """Add `flask provider`. Raises ConfigurationError for a wrong profile of the operator."""
    try:
        check_folder(settings.provider_profiles_dir)
    except ProfileError as error:
        raise ConfigurationError(str(error)) from None
    commands.register(app)
