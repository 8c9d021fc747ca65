"""What the benchmark writes into the documents, and its model of queues: without any program."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from benchmarks import arithmetic, document
from benchmarks.cases.capacity import agreement
from benchmarks.chart import journey_chart
from benchmarks.queueing import Demand, Model
from benchmarks.subjects import Step, poll_pace

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def cost(cpu, database=2.0):
    """One round of a journey."""
    return {
        "cpu_ms": cpu,
        "database_cpu_ms": database,
        "requests": 40.0,
        "messages": 5.0,
        "event_p99_ms": 12.0,
    }


RESULTS: dict[str, Any] = {
    "journey": {
        "subjects": {
            "service": [cost(48.0), cost(50.0), cost(56.0)],
            "bare": [cost(5.0), cost(5.5), cost(6.0)],
        }
    },
    "live": {
        "kib_each": {"service": 64.0, "bare": 60.0},
        "idle_us_per_second": {"service": [10.0], "bare": [9.5]},
    },
    "http": [
        {
            "operation": "create with a key",
            "clients": 16,
            "subject": "service",
            "rounds": [{"cpu_ms": 2.0}, {"cpu_ms": 3.0}],
        }
    ],
    "capacity": {
        "rows": [
            {
                "processes": 1,
                "clients": 16,
                "predicted_per_second": 330.0,
                "per_second": 300.0,
                "predicted_p50_ms": 48.0,
                "p50_ms": 50.0,
                "throughput_agreement": 90.0,
                "latency_agreement": 96.0,
            }
        ]
    },
    "outcomes": [
        {
            "name": "create with a key, 16 clients / bare",
            "ours": 400.0,
            "bare": 700.0,
            "ratio": 0.57,
            "bound": 0.6,
            "better": "higher",
            "unit": "req per CPU s",
        }
    ],
}


def test_the_documents_have_a_place_for_every_table(tmp_path):
    """Each table is between two comments, so the next run replaces it and nothing else."""
    for name in ("performance.md", "scaling.md"):
        (tmp_path / name).write_text((DOCS / name).read_text())
    document.write(RESULTS, tmp_path)
    document.write(RESULTS, tmp_path)

    text = "".join((tmp_path / name).read_text() for name in ("performance.md", "scaling.md"))
    assert "| CPU of the program, ms | 50.0 (48.0–56.0) | 5.5 (5.0–6.0) |" in text
    assert "| journeys per core and hour | 72,000 (64,286–75,000) |" in text
    assert "| create with a key | 2.50 (2.00–3.00) | 0.57 of bare (≥ 0.6) |" in text
    assert "## The database" in text
    assert "| 1, 16 clients | 330 / 300 | 90 % | 48 / 50 ms | 96 % |" in text
    assert "| memory of the watchers | 61 GiB |" in text


def test_the_chart_is_an_image_for_light_and_dark_pages():
    """A browser draws it as an image: it may load nothing and run nothing."""
    svg = journey_chart(RESULTS["journey"]["subjects"])

    root = ElementTree.fromstring(svg)  # noqa: S314 - our own text
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert svg.count('class="spread"') == 2
    assert "prefers-color-scheme: dark" in svg
    assert "50.0 + 2.0" in svg
    assert "href" not in svg


def test_the_arithmetic_multiplies_the_medians():
    """1,000 journeys of 50 ms are 50 cores; 940,000 other watchers cost 10 µs each second."""
    needs = arithmetic.needs(RESULTS)

    assert needs.service_cores == pytest.approx(50)
    assert needs.database_cores == pytest.approx(2)
    assert needs.idle_cores == pytest.approx(9.4)
    assert needs.processes == 100
    assert needs.requests_per_second == pytest.approx(40_000)


@pytest.mark.parametrize(
    ("processes", "clients", "per_second"),
    [(1, 1, 1 / 0.0048), (1, 64, 1 / 0.003), (2, 64, 2 / 0.0038)],
)
def test_the_model_reaches_the_limits_that_are_known(processes, clients, per_second):
    """One client waits for the whole way; one busy process, or two cores, end the growth."""
    demand = Demand(generator=0.0003, process=0.003, database=0.0005, disk=0.001)
    model = Model(demand, clients=clients, processes=processes, cores=2)

    assert model.run().per_second == pytest.approx(per_second, rel=0.05)


def test_requests_that_find_no_connection_wait_in_their_order():
    """All clients together wait as long as with a connection each: one process answers them."""
    demand = Demand(generator=0.0001, process=0.0015, database=0.0004, disk=0)
    enough, few = (
        Model(demand, clients=64, processes=1, cores=2, connections=connections).run(6000)
        for connections in (64, 25)
    )

    assert few.per_second == pytest.approx(enough.per_second, rel=0.05)
    mean = 64 / enough.per_second
    for one in (enough, few):
        assert one.p50 == pytest.approx(mean, rel=0.05)
        assert one.p99 < 1.6 * mean


def test_an_agreement_is_a_share_of_the_measurement():
    """A prediction that is twice the measurement agrees by nothing."""
    assert agreement(90, 100) == pytest.approx(90)
    assert agreement(110, 100) == pytest.approx(90)
    assert agreement(250, 100) == 0


def test_the_pace_of_polls_is_that_of_the_page(tmp_path):
    """The page of an older version polls at its own pace."""
    assert all(step.every >= 5 for step in poll_pace(ROOT))
    script = tmp_path / "static" / "js" / "poller.js"
    script.parent.mkdir(parents=True)
    script.write_text(
        "{ untilMs: 2 * 60_000, everyMs: 5_000 },{ untilMs: Infinity, everyMs: 9_000 }"
    )
    assert poll_pace(tmp_path) == [Step(120, 5), Step(float("inf"), 9)]
    script.write_text("const TRUSTED_MS = 30_000;")
    assert poll_pace(tmp_path) == (Step(float("inf"), 30),)
