"""The folder in which the processes of a machine share their metrics."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from config import ConfigurationError
from server.reload_guard import METRICS_VARIABLE

_PATTERN_CHARACTERS = "*?["
"""Prometheus' client library looks for files by a pattern that begins with the folder."""


def prepare_folder(folder: Path) -> None:
    """Create the folder if it is missing. Raises ConfigurationError if it cannot be written."""
    fault = _fault_of_name(folder)
    if fault is None:
        try:
            with suppress(
                FileExistsError
            ):  # no folder, or a link to nowhere: the next step says it
                folder.mkdir(parents=True, exist_ok=True)
            _try_to_write(folder)
        except OSError as error:
            fault = _sentence(folder, error)
    if fault:
        raise ConfigurationError(fault)


def fault_of(folder: Path) -> str | None:
    """Why the service cannot write there, as a sentence; None if it can. Changes nothing.

    A missing folder is judged by the one in which the service would create it.
    """
    if fault := _fault_of_name(folder):
        return fault
    place = folder
    # A link that leads nowhere is there, and no folder can be created in its place.
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    try:
        _try_to_write(place)
    except OSError as error:
        return _sentence(folder, error)
    return None


def _try_to_write(folder: Path) -> None:
    with TemporaryFile(dir=folder):
        pass


def _fault_of_name(folder: Path) -> str | None:
    name = str(folder)
    if "\0" in name:
        return f"{METRICS_VARIABLE} must not contain the character NUL."
    if any(character in name for character in _PATTERN_CHARACTERS):
        return (
            f"{METRICS_VARIABLE} must not contain *, ? or [, or the metrics are not found: {folder}"
        )
    return None


def _sentence(folder: Path, error: OSError) -> str:
    return f"{METRICS_VARIABLE}: {folder} cannot be written: {error.strerror}."
