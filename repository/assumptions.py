"""What a unit of work takes for true until its COMMIT, which verifies it.

A look-up of credentials is reused without a message of changes only so: the COMMIT sends a guard,
a statement that fails unless the look-up would give the same answer now.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from core.errors import DatabaseUnavailable
from repository.mysql_connections import quick_connection
from repository.statements import check_guards


class Assumptions:
    """The assumptions of one unit of work, and what follows once they are verified or not."""

    def __init__(self, connection: Connection) -> None:
        """Assume nothing yet."""
        self._connection = connection
        self._is_open = False
        """Whether there are assumptions that nobody has verified."""
        self._if_true: list[Callable[[], object]] = []
        self._if_in_doubt: list[Callable[[], object]] = []

    def are_possible(self) -> bool:
        """Whether the COMMIT of this connection sends guards: a MySQL or MariaDB alone does."""
        driver = quick_connection(self._connection.connection)
        return driver is not None and driver.may_defer_changes

    def add(self, guard: str, if_in_doubt: Callable[[], object]) -> None:
        """Let the COMMIT send this guard; `are_possible` must be true.

        `if_in_doubt` is called if the transaction ends otherwise, unless `check` has verified it.
        """
        driver = quick_connection(self._connection.connection)
        if driver is None:
            raise TypeError("This connection sends no guards.")
        driver.guard_commit(guard)
        self._is_open = True
        self._if_in_doubt.append(if_in_doubt)

    def follow(self, if_true: Callable[[], object], if_in_doubt: Callable[[], object]) -> None:
        """Call one of the two when the assumptions are verified, or in doubt.

        Without any assumption the first is called at once.
        """
        if self._is_open:
            self._if_true.append(if_true)
            self._if_in_doubt.append(if_in_doubt)
        else:
            if_true()

    def check(self) -> None:
        """Verify the assumptions now, because an error is to leave the transaction.

        Raises what `Connection.execute` raises, for a wrong one OperationalError
        (`driver_errors.is_conflict`), and DatabaseUnavailable if the connection is lost.
        """
        if not self._is_open:
            return
        if self._connection.invalidated or self._connection.closed:
            raise DatabaseUnavailable
        check_guards(self._connection)
        self._is_open = False

    def end(self, *, is_committed: bool) -> None:
        """Call what follows; the transaction has ended."""
        is_in_doubt = self._is_open and not is_committed
        self._is_open = False
        for call in self._if_in_doubt if is_in_doubt else self._if_true:
            call()
