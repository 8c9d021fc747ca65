"""Jobs that change one row after another."""

from __future__ import annotations

import pytest

from core.errors import ConcurrentUpdate, DatabaseUnavailable
from payments.recurring.row_jobs import change_each


def test_a_row_that_fails_does_not_stop_the_others(app):
    """Without a database none can be changed, and a process that stops begins none."""
    errors = {1: ConcurrentUpdate, 2: ZeroDivisionError, 5: DatabaseUnavailable}
    calls = []

    def change(_work, row):
        calls.append(row)
        if row in errors:
            raise errors[row]
        return row != 3

    with app.app_context():
        assert change_each("test", [1, 2, 3, 4], change, lambda: True) == 1
        assert set(calls) == {1, 2, 3, 4}
        with pytest.raises(DatabaseUnavailable):
            change_each("test", [5, 6], change, lambda: True)
        assert change_each("test", [6, 7], change, lambda: 6 not in calls) == 1
    assert calls[-1] == 6
