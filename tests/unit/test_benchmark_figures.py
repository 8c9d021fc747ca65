"""The benchmark's model of queues: without any program."""

from __future__ import annotations

import pytest

from benchmarks.queueing import Demand, Model


@pytest.mark.parametrize(
    ("processes", "clients", "per_second"),
    [(1, 1, 1 / 0.0048), (1, 64, 1 / 0.003), (2, 64, 2 / 0.0038)],
)
def test_the_model_reaches_the_limits_that_are_known(processes, clients, per_second):
    """One client waits for the whole way; one busy process, or two cores, end the growth."""
    demand = Demand(generator=0.0003, process=0.003, database=0.0005, disk=0.001)
    model = Model(demand, clients=clients, processes=processes, cores=2)

    assert model.run().per_second == pytest.approx(per_second, rel=0.05)
