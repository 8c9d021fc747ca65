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


def test_a_folder_by_gunicorns_option_is_that_of_several_workers(arbiter, monkeypatch, tmp_path):
    """Several workers used another folder, and this one stayed empty."""
    arbiter.cfg.set("raw_env", [f"{VARIABLE}={tmp_path / 'option'}"])
    for other in ("", str(tmp_path / "environment")):
        monkeypatch.setenv(VARIABLE, other)
        gunicorn_master.change_workers(arbiter, 2, None)
        assert arbiter.cfg.env == {VARIABLE: str(tmp_path / "option")}
    arbiter.cfg.set("raw_env", [f"{VARIABLE}="])
    gunicorn_master.change_workers(arbiter, 2, None)
    assert arbiter.cfg.env[VARIABLE] == str(tmp_path / "environment")


class FakeEnd(Exception):
    """The master has ended."""


def test_a_file_of_an_earlier_run_that_stays_ends_the_master(arbiter, monkeypatch, tmp_path):
    """Its numbers were added to those of the new run, and so were those of all files after it."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    gunicorn_master.change_workers(arbiter, 2, None)
    stubborn = tmp_path / "counter_1.db"
    stubborn.mkdir()
    lines = []

    def halt(exit_status: int) -> None:
        raise FakeEnd(exit_status)

    arbiter.log = SimpleNamespace(critical=lambda text, *values: lines.append(text % values))
    arbiter.halt, arbiter.APP_LOAD_ERROR = halt, 4
    with pytest.raises(FakeEnd, match="4"):
        gunicorn_master.prepare_metrics(arbiter)
    assert f"{stubborn} of an earlier run cannot be deleted" in lines[0]


def test_a_folder_by_gunicorns_own_option_does_not_stop_reloads(arbiter, monkeypatch):
    """The option counted as a change of the setting, and every reload was refused."""
    arbiter.cfg.set("workers", 1)
    arbiter.cfg.set("raw_env", [f"{VARIABLE}=/metrics"])
    setting = gunicorn_master._metrics_setting(arbiter)
    monkeypatch.setenv(VARIABLE, "/metrics")  # gunicorn does it
    assert gunicorn_master.fault_of_reload(arbiter, setting) is None
    arbiter.cfg.env_orig[VARIABLE] = "/other"
    assert "has changed" in (gunicorn_master.fault_of_reload(arbiter, setting) or "")


@pytest.mark.parametrize("port", ["99999", "abc", "-1", "9" * 5000])
def test_a_port_that_is_no_port_is_left_to_the_worker(monkeypatch, port):
    """It has the sentence; 99999 once ended the master with a traceback."""
    monkeypatch.setenv("PORT", port)
    monkeypatch.setenv("HOST", "127.0.0.1")
    assert gunicorn_master.addresses()[0] == "127.0.0.1:0"
