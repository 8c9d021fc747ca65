"""What the check of a reload refuses; tests/process/test_gunicorn.py runs it as a process."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from config import ConfigurationError
from server import metrics_folder, reload_check
from tests.support.ports import free_port

ALL = "0.0.0.0"  # noqa: S104


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which the old workers listen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_reload_that_keeps_one_of_its_addresses_needs_a_restart(port):
    """gunicorn opens all anew, and once ended itself because the old workers had this one still."""
    plain, tls = ["127.0.0.1", port], ["127.0.0.1", free_port()]
    for new, old in (
        ([plain, tls], [plain]),
        ([plain], [plain, tls]),
        ([tls, plain], [plain, tls]),
        ([[ALL, port]], [plain]),
        ([["localhost", port]], [plain]),
        (["unix:a", "unix:b"], ["unix:a"]),
    ):
        with pytest.raises(ConfigurationError, match="restart the service"):
            reload_check._check_addresses(new, old)


def test_a_port_of_another_program_is_named(port):
    """A restart would not help."""
    for old in ([], [["127.0.0.1", free_port()]]):
        with pytest.raises(ConfigurationError, match="in use by another program"):
            reload_check._check_addresses([["127.0.0.1", port]], old)


def test_the_same_addresses_and_wholly_new_ones_pass(port):
    """gunicorn leaves its sockets as they are, or can open the new ones."""
    plain = ["127.0.0.1", port]
    reload_check._check_addresses([plain], [plain])
    reload_check._check_addresses([["127.0.0.1", free_port()]], [plain])


def test_a_folder_of_metrics_that_cannot_be_written_is_named(tmp_path):
    """Each worker would end with a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"PROMETHEUS_MULTIPROC_DIR: .*file"):
        metrics_folder.prepare_folder(tmp_path / "file")
