"""Send a sample of the corpus to a served process.

`test_corpus.py` reads the whole corpus; `python -m tests.recovery.corpus_over_http` sends it.
"""

from __future__ import annotations

import pytest

from tests.db.tables import Tables
from tests.recovery.corpus import table
from tests.recovery.corpus_over_http import SETTINGS, pictured_payments, rows_of, upload
from tests.recovery.kinds import KINDS, UNDISTORTED

PER_KIND = 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_pictures_lead_to_their_payments_and_reading_changes_nothing(serve, fresh_database):
    """HTTP loses no picture, no picture finds another payment, and no row changes."""
    database = fresh_database("sqlite")
    service = serve(DATABASE_URL=database, **SETTINGS)
    tables = Tables(database)
    pictures = list(pictured_payments(service, PER_KIND))
    before = rows_of(tables)

    results = [upload(service, pictured) for pictured in pictures]

    report = table(results)
    assert rows_of(tables) == before
    assert len(before["payments"]) == len(pictures) == PER_KIND * len(KINDS)
    assert [result for result in results if result.wrong] == [], report
    assert all(result.is_found for result in results if result.kind in UNDISTORTED), report
    assert sum(result.is_found for result in results) >= 0.97 * len(results), report
