"""The folder in which the processes of a machine share their metrics."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

from config import ConfigurationError
from server.reload_guard import METRICS_VARIABLE


def prepare_folder(folder: Path) -> None:
    """Create the folder if it is missing. Raises ConfigurationError if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        pass  # a file, as `fault_of` says
    except OSError as error:
        raise ConfigurationError(_sentence(folder, error)) from None
    if fault := fault_of(folder):
        raise ConfigurationError(fault)


def fault_of(folder: Path) -> str | None:
    """Why the service cannot write there, as a sentence; None if it can. Changes nothing.

    A missing folder is judged by the one in which the service would create it.
    """
    place = folder
    try:
        while not place.exists() and place != place.parent:
            place = place.parent
        with TemporaryFile(dir=place):
            return None
    except OSError as error:
        return _sentence(folder, error)


def _sentence(folder: Path, error: OSError) -> str:
    return f"{METRICS_VARIABLE}: {folder} cannot be written: {error.strerror}."
