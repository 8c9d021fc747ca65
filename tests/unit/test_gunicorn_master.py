"""What gunicorn's master does, without gunicorn; tests/process/test_gunicorn.py runs it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from server import gunicorn_master
from server.reload_guard import METRICS_VARIABLE as VARIABLE


@pytest.fixture
def arbiter(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A master whose command line says `--workers 2`, while WORKERS is not set."""
    monkeypatch.setenv(VARIABLE, "")
    gunicorn_master._metrics_folder.cache_clear()
    configuration = Config()
    configuration.set("workers", 2)
    configuration.set("raw_env", ["ASYNC_MODE=gevent"])
    yield SimpleNamespace(cfg=configuration)
    gunicorn_master._metrics_folder.cache_clear()


def test_workers_by_option_have_common_metrics_too(arbiter):
    """`/metrics` once showed those of the worker that answered; the folder stayed after the end."""
    gunicorn_master.change_workers(arbiter, 2, None)
    folder = Path(arbiter.cfg.env[VARIABLE])
    old = folder / "counter_1.db"
    old.touch()
    gunicorn_master.prepare_metrics(arbiter)
    assert folder.is_dir()
    assert not old.exists()
    gunicorn_master.remove_metrics(arbiter)
    assert not folder.exists()


def test_a_folder_of_the_operator_stays(arbiter, monkeypatch, tmp_path):
    """Somebody else may read it."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "metrics"))
    gunicorn_master.change_workers(arbiter, 2, None)
    gunicorn_master.prepare_metrics(arbiter)
    gunicorn_master.remove_metrics(arbiter)
    assert arbiter.cfg.env[VARIABLE] == str(tmp_path / "metrics")
    assert (tmp_path / "metrics").is_dir()


@pytest.mark.parametrize("port", ["99999", "abc", "-1", "9" * 5000])
def test_a_port_that_is_no_port_is_left_to_the_worker(monkeypatch, port):
    """It has the sentence; 99999 once ended the master with a traceback."""
    monkeypatch.setenv("PORT", port)
    monkeypatch.setenv("HOST", "127.0.0.1")
    assert gunicorn_master.addresses()[0] == "127.0.0.1:0"
