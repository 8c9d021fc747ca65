"""A Galera cluster for the modules that need one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.galera import GaleraCluster, galera_cluster
from tests.support.parts import MissingPart, leave_out


@pytest.fixture(scope="module")
def module_galera() -> Iterator[GaleraCluster]:
    """Three nodes with one migrated database, for the tests of a module."""
    with ExitStack() as running:
        try:
            cluster = running.enter_context(galera_cluster())
        except MissingPart as missing:
            leave_out(missing)
            raise
        yield cluster
