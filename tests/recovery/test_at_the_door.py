"""A sample of the corpus through the real door of a served process.

The whole corpus is read in `test_corpus.py`, and sent by `python -m tests.recovery.at_the_door`.
"""

from __future__ import annotations

import pytest

from tests.db.tables import Tables
from tests.recovery.at_the_door import SETTINGS, answered, rows_of, shown
from tests.recovery.corpus import table
from tests.recovery.kinds import KINDS, UNDISTORTED

PER_KIND = 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_pictures_lead_to_their_payments_and_reading_changes_nothing(serve, fresh_database):
    """Found as often as by the reader alone, never another's, and each row is as it was."""
    database = fresh_database("sqlite")
    service = serve(DATABASE_URL=database, **SETTINGS)
    tables = Tables(database)
    pictures = list(shown(service, PER_KIND))
    before = rows_of(tables)

    results = [answered(service, one) for one in pictures]

    told = table(results)
    assert rows_of(tables) == before
    assert len(before["payments"]) == len(pictures) == PER_KIND * len(KINDS)
    assert [result for result in results if result.wrong] == [], told
    assert all(result.is_found for result in results if result.kind in UNDISTORTED), told
    assert sum(result.is_found for result in results) >= 0.97 * len(results), told
