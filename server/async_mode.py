"""Choose the async mode and patch the standard library before anything else is imported.

Imported first by `app.py`; before the patch only the standard library, python-dotenv and modules
of `core/` that import nothing else may come (a patch after `import flask` or `import pydantic`
breaks locks and TLS).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from core.runtime.text_files import UnreadableFile, read_env_file

ENV_FILE = Path(__file__).resolve().parents[1] / ".env"


def early_setting(name: str, default: str, environment: Mapping[str, str] = os.environ) -> str:
    """A setting of the environment or `.env`, before config.py can be imported; not validated."""
    try:
        in_file = read_env_file(ENV_FILE).get(name)
    except UnreadableFile:
        in_file = None  # config.py reads the file again and says what is wrong.
    return environment.get(name) or in_file or default


def configured_mode() -> str:
    """`ASYNC_MODE` of the environment or `.env`, eventlet by default; not validated."""
    return early_setting("ASYNC_MODE", "eventlet")


def patch(mode: str) -> None:
    """Make the standard library cooperative, for eventlet and gevent."""
    if mode == "eventlet":
        with warnings.catch_warnings():
            # eventlet is deprecated; decision 0001 says why this service uses it.
            warnings.simplefilter("ignore")
            import eventlet

            eventlet.monkey_patch()
    elif mode == "gevent":
        from gevent import monkey

        monkey.patch_all()
