"""Write a migration of the bank's tables from the changes in `bank/models.py`.

    .venv/bin/python -m scripts.bank_revision -m "what changes" --rev-id bank_0003

The models are compared with a new database that has every released revision.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence

from alembic import command

from bank.database import Database, alembic_config


def write_revision(message: str, revision_id: str, folder: str | None = None) -> None:
    """Write the migration into `folder`; by default into the bank's migrations folder."""
    with tempfile.TemporaryDirectory() as temporary:
        database = Database(f"sqlite:///{temporary}/bank.sqlite3")
        try:
            database.upgrade()
            with database.engine.begin() as connection:
                config = alembic_config(connection)
                if folder is not None:
                    config.set_main_option("script_location", folder)
                command.revision(config, message, autogenerate=True, rev_id=revision_id)
        finally:
            database.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Write a revision of the bank's tables.")
    parser.add_argument("-m", "--message", required=True, help="what changes")
    parser.add_argument("--rev-id", required=True, help="the next id, as bank_0003")
    options = parser.parse_args(arguments)
    write_revision(options.message, options.rev_id)


if __name__ == "__main__":
    main()
