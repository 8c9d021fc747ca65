"""Counting the rows and the money in the script that mariadb-dump or mysqldump prints.

These tools read a snapshot that no other connection can join. So the manifest is counted from the
script itself, which has one INSERT with the names of its columns in each line.
"""

from __future__ import annotations

import re

from repository.backups import MONEY_COLUMNS, TableSums

_INSERT = re.compile(rb"INSERT INTO `(\w+)` \(([^)]*)\) VALUES \(")
_VALUE = re.compile(rb"'(?:[^'\\]|\\.|'')*'|[^,'()]+", re.DOTALL)
COMPLETE = b"-- Dump completed"
"""How the last line of a complete script begins."""


class ScriptSums:
    """Rows and sums of the lines that were counted."""

    def __init__(self, tables: tuple[str, ...]) -> None:
        """Count these tables; others in the database are not the service's."""
        self.tables: TableSums = {
            name: {"rows": 0, **dict.fromkeys(MONEY_COLUMNS.get(name, ()), 0)} for name in tables
        }
        self.is_complete = False

    def count(self, line: bytes) -> None:
        """Add a line of the script; the tools escape the line breaks within texts."""
        match = _INSERT.match(line)
        if match is None:
            self.is_complete = self.is_complete or line.startswith(COMPLETE)
            return
        table = match[1].decode()
        if table not in self.tables:
            return
        sums = self.tables[table]
        sums["rows"] += 1
        if table in MONEY_COLUMNS:
            columns = [name.strip(b" `").decode() for name in match[2].split(b",")]
            values = _VALUE.findall(line, match.end())
            for name in MONEY_COLUMNS[table]:
                sums[name] += int(values[columns.index(name)])
