"""What the errors of the drivers mean."""

from __future__ import annotations

import psycopg
import pytest
from pymysql import err
from sqlalchemy import exc

from repository import driver_errors


def wrapped(
    original: Exception, kind: type[exc.DBAPIError] = exc.OperationalError
) -> exc.DBAPIError:
    """The driver's error in SQLAlchemy's."""
    return kind("SELECT 1", {}, original)


@pytest.mark.parametrize(
    ("number", "sqlstate"),
    [(1205, "HY000"), (1213, "40001"), (1020, "HY000"), (1452, "23000"), (1317, "70100")],
)
def test_a_conflict_of_mysql_is_seen_by_its_number(number, sqlstate):
    """Many numbers share a SQLSTATE that says nothing."""
    error = wrapped(err.OperationalError(number, "in the way", sqlstate=sqlstate))
    assert driver_errors.is_conflict(error)
    assert not driver_errors.is_away(error)


def test_a_violated_constraint_of_mysql_is_seen_by_its_number():
    """23000 is the SQLSTATE of references too."""
    repeated = err.IntegrityError(1062, "Duplicate entry", sqlstate="23000")
    absent = err.IntegrityError(1048, "Column cannot be null", sqlstate="23000")
    assert driver_errors.is_unique_violation(exc.IntegrityError("INSERT", {}, repeated))
    assert not driver_errors.is_unique_violation(exc.IntegrityError("INSERT", {}, absent))


@pytest.mark.parametrize(
    ("number", "sqlstate"), [(1290, "HY000"), (1180, "HY000"), (1053, "08S01"), (2013, None)]
)
def test_a_server_of_mysql_that_is_away_is_seen_by_its_number(number, sqlstate):
    """Errors of the driver itself have no SQLSTATE."""
    error = wrapped(err.OperationalError(number, "gone", sqlstate=sqlstate))
    assert driver_errors.is_away(error)
    assert not driver_errors.is_conflict(error)


def test_an_error_of_mysql_without_a_meaning_here_is_neither():
    """A missing table must not look like a database that is away."""
    for original in (
        err.ProgrammingError(1146, "no such table", sqlstate="42S02"),
        err.OperationalError(2026, "TLS failed"),
    ):
        assert not driver_errors.is_away(wrapped(original))
        assert not driver_errors.is_conflict(wrapped(original))


def test_a_failure_to_connect_to_postgresql_may_pass():
    """psycopg gives it no SQLSTATE; a refusal that waiting does not change is none."""
    assert driver_errors.is_away(wrapped(psycopg.OperationalError("connection refused")))
    refusal = psycopg.OperationalError('FATAL:  password authentication failed for user "x"')
    assert not driver_errors.is_away(wrapped(refusal))
