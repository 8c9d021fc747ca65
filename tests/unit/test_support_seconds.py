"""Measurements are repeated only while they show too much."""

from __future__ import annotations

import pytest

from tests.support.seconds import least_seconds


@pytest.mark.parametrize(
    ("measurements", "least", "left"),
    [
        ([0.1, 9.0, 9.0], 0.1, 2),
        ([9.0, 0.1, 9.0], 0.1, 1),
        ([9.0, 8.0, 7.0, 0.1], 7.0, 1),
        ([0.5, 0.5, 0.5], 0.5, 0),
    ],
)
def test_what_is_slow_each_time_is_slow(measurements, least, left):
    """One stall of the machine is forgiven, a slow service is not."""
    assert least_seconds(0.5, lambda: measurements.pop(0)) == least
    assert len(measurements) == left
