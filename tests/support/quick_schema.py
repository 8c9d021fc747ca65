"""Read the migrations once per process instead of once per app.

Each app compares its database with the newest migration, and reading them all for that took a
seventh of the time in which a test gets its app. The files do not change during a run.
"""

from __future__ import annotations

from functools import lru_cache

from alembic.script import ScriptDirectory

from server import schema


def share_migrations() -> None:
    """Let every app of this process use the migrations that the first one read."""

    @lru_cache
    def read_once(directory: str) -> ScriptDirectory:
        script = ScriptDirectory(directory)
        script.get_current_head()  # reads the files, which the constructor leaves for later
        return script

    vars(schema)["ScriptDirectory"] = read_once
