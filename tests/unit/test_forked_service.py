"""A forked service is what `python app.py` is: its environment, its signals, its exit status."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

import pytest

from tests.support.forked_service import ForkedProcess
from tests.support.service import ServiceProcess


def process_of(service):
    """The service's process, which has started."""
    assert service.process is not None
    return service.process


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_two_forks_serve_apart_and_end_as_programs_do(mode, tmp_path):
    """Each has its own settings and rows, ends by its own signal, and tells its own status."""
    with (
        ServiceProcess(tmp_path / "one", ASYNC_MODE=mode, LOG_LEVEL="info") as one,
        ServiceProcess(tmp_path / "other", ASYNC_MODE=mode) as other,
    ):
        assert isinstance(one.process, ForkedProcess)
        assert process_of(one).pid != process_of(other).pid
        payment = one.create(value=12.5)
        assert other.get(f"/payments/pix/{payment['id']}")[0] == 404
        assert one.tell(payment)[0] == 200
        assert one.payment(payment["id"])["status"] == "confirmed"

        one.kill()
        assert process_of(one).returncode == -signal.SIGKILL
        assert process_of(one).poll() == -signal.SIGKILL
        assert process_of(other).poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process_of(other).wait(0.01)
        one.start()
        assert one.payment(payment["id"])["status"] == "confirmed"
        assert (one.stop(), other.stop()) == (0, 0)


def test_a_refused_start_has_the_status_and_the_sentence_of_the_program(tmp_path):
    service = ServiceProcess(tmp_path, DATABASE_URL="oracle://x")
    service.start(wait=False)
    assert process_of(service).wait(30) == 1
    assert service.log().startswith("Balcão cannot start: ")


@pytest.mark.parametrize("name", ["PROMETHEUS_MULTIPROC_DIR", "LD_PRELOAD", "EVENTLET_HUB"])
def test_what_an_import_reads_needs_a_program_of_its_own(name, tmp_path):
    """A fork would count its metrics, for instance, as if it were the only process."""
    environment: dict[str, Any] = {name: ""}
    service = ServiceProcess(tmp_path, **environment)
    service.start(wait=False)
    assert isinstance(service.process, subprocess.Popen)
    service.kill()
