"""Starts by `python app.py`, because these tests look at starts, stops and what a process needs."""

from __future__ import annotations

import pytest

from tests.support.service import ServiceProcess


@pytest.fixture(scope="module", autouse=True)
def _own_program():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ServiceProcess, "is_forked", False)
        yield
