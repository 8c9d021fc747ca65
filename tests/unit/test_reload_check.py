"""What the check of a reload refuses; tests/process/test_gunicorn.py runs it as a process."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator

import pytest

from config import ConfigurationError
from server import metrics_folder, reload_check, reload_guard
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


@pytest.mark.parametrize("name", ["nowhere", "loop", "nowhere/metrics", "a[b]", "a*", "a\0b"])
def test_a_folder_that_only_seems_usable_is_named(tmp_path, name):
    """Two were taken for missing folders. Prometheus' library finds no file in a third."""
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "away")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    folder = tmp_path / name
    with pytest.raises(ConfigurationError, match="PROMETHEUS_MULTIPROC_DIR"):
        metrics_folder.prepare_folder(folder)
    assert "PROMETHEUS_MULTIPROC_DIR" in (metrics_folder.fault_of(folder) or "")


def test_a_link_to_a_folder_and_a_missing_one_are_usable(tmp_path):
    """The other side of the edge."""
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path / "link", tmp_path / "link" / "new" / "metrics"):
        assert metrics_folder.fault_of(folder) is None
        metrics_folder.prepare_folder(folder)
        assert folder.is_dir()


def test_a_check_that_was_killed_is_not_said_to_have_written_lines():
    """The log has none above it then."""
    for text, words in ((b"", "it was killed"), (b"PORT is wrong.", "PORT is wrong.")):
        assert words in (reload_guard._fault_in(io.BytesIO(text)) or "")
    assert reload_guard._fault_in(io.BytesIO(b"passed")) is None
