"""The slowest files run first, by their recorded durations."""

from types import SimpleNamespace
from typing import Any

from tests.support import order


def test_the_slowest_files_come_first_and_tests_keep_their_order(monkeypatch):
    """A file without a duration comes last: it is new and probably quick."""
    monkeypatch.setattr(order, "recorded_seconds", lambda: {"b.py": 9, "c.py": 80})
    items: list[Any] = [
        SimpleNamespace(nodeid=name) for name in ("a.py::1", "b.py::2", "b.py::1", "c.py::T::1")
    ]
    order.slowest_first(items)
    assert [item.nodeid for item in items] == ["c.py::T::1", "b.py::2", "b.py::1", "a.py::1"]


def test_seconds_are_added_up_by_file(tmp_path):
    """A report names classes as if they were folders, and a quick file is not worth a line."""
    cases = [
        ("tests.unit.test_money", 4.6),
        ("tests.http.test_histories.TestHistories", 5.5),
        ("tests.http.test_histories", 2.2),
        ("tests.unit.test_clock", 0.1),
        ("tests.unit.test_that_was_deleted", 60),
    ]
    report = tmp_path / "report.xml"
    lines = [f'<testcase classname="{name}" name="x" time="{took}"/>' for name, took in cases]
    report.write_text(f"<testsuites><testsuite>{''.join(lines)}</testsuite></testsuites>")
    assert list(order.measure(report).items()) == [
        ("tests/http/test_histories.py", 8),
        ("tests/unit/test_money.py", 5),
    ]
