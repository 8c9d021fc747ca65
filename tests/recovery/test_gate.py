"""Many uploads at once: one is decoded at a time, the others wait or are refused."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from blueprints.recovery.reading import read_picture
from core.errors import Busy, TooManyRequests, UnsupportedPicture
from core.pictures import PICTURE_BYTES_MAX
from core.runtime.gate import Gate
from payments.qr_image import qr_png

ROOT = Path(__file__).resolve().parents[2]


def line_up(gate: Gate, visit: Callable[[int], None], count: int) -> list[threading.Thread]:
    """Start `count` visitors of a full gate, each after the one before is in the queue."""
    threads = []
    for number in range(count):
        thread = threading.Thread(target=visit, args=(number,))
        thread.start()
        threads.append(thread)
        limit = time.monotonic() + 10
        while gate.waiting <= number:
            assert time.monotonic() < limit
            time.sleep(0.001)
    return threads


def test_first_come_first_served():
    """The queue keeps its order on a busy machine too."""
    gate = Gate(1, queue_max=10)
    order: list[int] = []

    def visit(number: int) -> None:
        with gate.place(10):
            order.append(number)

    with gate.place(0):
        threads = line_up(gate, visit, 8)
    for thread in threads:
        thread.join(10)

    assert order == list(range(8))


def test_all_places_are_used_and_the_others_wait():
    """Two places admit two visitors at once."""
    gate = Gate(2, queue_max=10)
    inside: list[int] = []
    counts: list[int] = []

    def visit(number: int) -> None:
        with gate.place(10):
            inside.append(number)
            counts.append(len(inside))
            time.sleep(0.05)
            inside.remove(number)

    with gate.place(0), gate.place(0):
        threads = line_up(gate, visit, 8)
        assert inside == []
    for thread in threads:
        thread.join(10)

    assert (len(counts), max(counts)) == (8, 2)


def test_a_visitor_that_waits_too_long_is_refused_and_takes_no_place():
    """The place stays free for the next visitor."""
    gate = Gate(1, queue_max=10)
    with gate.place(0):
        began = time.monotonic()
        with pytest.raises(Busy), gate.place(0.1):
            pytest.fail("two were inside")
        assert 0.08 < time.monotonic() - began < 2
    with gate.place(0):
        pass


def test_a_full_queue_refuses_at_once():
    """Each waiting upload holds a connection, so their number is limited."""
    gate = Gate(1, queue_max=1)
    has_started = threading.Event()

    def wait() -> None:
        has_started.set()
        with gate.place(10):
            pass

    with gate.place(0):
        thread = threading.Thread(target=wait)
        thread.start()
        assert has_started.wait(5)
        time.sleep(0.1)
        began = time.monotonic()
        with pytest.raises(Busy), gate.place(10):
            pytest.fail("two were waiting")
        assert time.monotonic() - began < 1
    thread.join(10)
    assert not thread.is_alive()


def test_a_place_is_free_again_after_a_failure():
    """A hostile picture must not stop the next one."""
    gate = Gate(1, queue_max=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), gate.place(0):
            raise ValueError("broken")
    with gate.place(0):
        pass


def test_owners_take_turns():
    """One address with many pictures must not make everybody else wait for all of them."""
    gate = Gate(1, queue_max=20)
    order: list[str] = []

    def visit(number: int) -> None:
        owner = "alice" if number == 5 else "charlie"
        with gate.place(10, owner):
            order.append(owner)

    with gate.place(0, "charlie"):
        threads = line_up(gate, visit, 6)
    for thread in threads:
        thread.join(10)

    assert order == ["charlie", "alice", *["charlie"] * 4]


def test_one_owner_has_only_its_share_of_the_places_and_the_queue():
    """The refusal comes at once; another owner is admitted; a caller that leaves makes room."""
    gate = Gate(1, queue_max=20, share_max=3)

    def visit(number: int) -> None:
        with gate.place(10, "charlie"):
            pass

    with gate.place(0, "charlie"):
        threads = line_up(gate, visit, 2)
        with pytest.raises(TooManyRequests), gate.place(10, "charlie"):
            pytest.fail("a fourth was admitted")
        with pytest.raises(Busy), gate.place(0.01, "alice"):
            pytest.fail("two were inside")
    for thread in threads:
        thread.join(10)
    with gate.place(0, "charlie"):
        pass
    assert gate._callers == {}


def test_an_upload_is_read_from_its_file_when_it_has_a_place():
    """200 waiting pictures stay in files; a picture over the limit is not read completely."""

    class CountingFile(io.BytesIO):
        read_size = 0

        def read(self, size: int | None = -1, /) -> bytes:
            CountingFile.read_size = size or 0
            return super().read(size)

    assert read_picture(CountingFile(qr_png("olá".replace("á", "a")))).texts == ("ola",)
    assert CountingFile.read_size == PICTURE_BYTES_MAX + 1
    with pytest.raises(UnsupportedPicture):
        read_picture(io.BytesIO(b"<svg/>"))


_CROWD = """
import sys
mode = sys.argv[1]
if mode == "eventlet":
    import warnings
    warnings.simplefilter("ignore")
    import eventlet
    eventlet.monkey_patch()
elif mode == "gevent":
    from gevent import monkey
    monkey.patch_all()
import threading, time
from core.errors import BalcaoError, DecodersBusy
from core.runtime.gate import Gate
from core.runtime.hub import active_hub
from blueprints.recovery.reading import pictures

assert active_hub() == mode
data = sys.stdin.buffer.read()
pictures._places.gate = Gate(1, 3, busy=DecodersBusy)
answers, ticks, is_over = [], [], threading.Event()

def upload():
    try:
        answers.append(pictures.read_picture(data, wait_seconds=60).texts == ())
    except BalcaoError as error:
        answers.append(error.code)

def tick():
    while not is_over.is_set():
        began = time.perf_counter()
        time.sleep(0.005)
        ticks.append(time.perf_counter() - began)

beside = threading.Thread(target=tick)
beside.start()
uploads = [threading.Thread(target=upload) for _ in range(40)]
for thread in uploads:
    thread.start()
for thread in uploads:
    thread.join(60)
is_over.set()
beside.join(5)
ticks.sort()
read = answers.count(True)
busy = answers.count("decoders-busy")
sys.stdout.write(f"{len(answers)} {read} {busy} {len(ticks)} {ticks[len(ticks) // 2] * 1000:.0f}")
"""


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_uploads_at_once_do_not_block_other_work(mode: str):
    """In each async mode, all uploads are answered and other tasks go on.

    Decoding grain takes a second or two; a blocked hub would tick only a few times.
    """
    grain = io.BytesIO()
    Image.effect_noise((1200, 1200), 120).save(grain, "PNG")
    process = subprocess.run(
        [sys.executable, "-c", _CROWD, mode],
        input=grain.getvalue(),
        capture_output=True,
        cwd=ROOT,
        check=False,
        timeout=100,
    )
    assert process.returncode == 0, process.stderr.decode()
    answer_count, read, busy, ticks, median_ms = map(int, process.stdout.split())

    assert (answer_count, read + busy) == (40, 40)
    assert 4 <= read <= 12
    assert ticks > 40
    assert median_ms < 50
