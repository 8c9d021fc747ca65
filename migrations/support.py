"""Store with each migration which code still works with the schema (decision 0086)."""

import sqlalchemy as sa

SUPPORT = sa.table("schema_support", sa.column("revision"), sa.column("oldest_code"))


def store_support(*, ctx, step, **_):
    """Write or delete the row of the migration that has just been run.

    Migrations before 0043 declare nothing: code that is older than 0043 does not look.
    """
    if step.is_stamp or not hasattr(step.up_revision.module, "oldest_code"):
        return
    script = step.up_revision
    connection = ctx.connection
    if not sa.inspect(connection).has_table(SUPPORT.name):
        return  # 0043 was reverted: its table is gone
    connection.execute(sa.delete(SUPPORT).where(SUPPORT.c.revision == script.revision))
    if step.is_upgrade:
        row = {"revision": script.revision, "oldest_code": script.module.oldest_code}
        connection.execute(sa.insert(SUPPORT).values(row))
