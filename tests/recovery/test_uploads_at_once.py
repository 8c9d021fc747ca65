"""Two hundred uploads at once hardly delay other requests to a served process."""

from __future__ import annotations

import http.client
import io
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from core.pictures import PICTURE_BYTES_MAX
from tests.recovery.conftest import multipart, picture
from tests.support.service import resident_bytes

PATH = "/api/payment/upload-screenshot-with-qr"
UPLOADS, PAYMENTS = 200, 20
PHOTO_BYTES_MIN = 500_000
MEMORY_MAX = 300 * 2**20
P95_SECONDS_MAX = 0.15
"""The target is 50 ms on an idle machine; a machine that runs tests is busy."""
ROOT = Path(__file__).resolve().parents[2]


def large_photo(code: str) -> bytes:
    """A photo of 0.5 to 5 MB with a code."""
    rng = random.Random(5)
    noise = Image.frombytes("L", (1250, 950), rng.randbytes(1250 * 950)).convert("RGB")
    with Image.open(io.BytesIO(picture(code))) as qr:
        noise.paste(qr.convert("RGB"), (300, 200))
    out = io.BytesIO()
    noise.save(out, "JPEG", quality=70)
    assert PHOTO_BYTES_MIN < len(out.getvalue()) < PICTURE_BYTES_MAX
    return out.getvalue()


def p95(times: list[float]) -> float:
    """The 95th percentile."""
    return sorted(times)[int(len(times) * 0.95)]


def send_all(port: int, folder: Path) -> None:
    """Upload the folder's forms from UPLOADS threads; print the answers.

    This runs in its own process, because two hundred threads would delay the measurement.
    """
    forms = sorted(folder.glob("*.form"))
    answers: list[tuple[int, str, str | None]] = []

    def upload(number: int) -> None:
        form = forms[number % len(forms)]
        content_type, _, body = form.read_bytes().partition(b"\n")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            headers = {
                "Content-Type": content_type.decode(),
                "X-Forwarded-For": f"198.51.100.{number}",
            }
            connection.request("POST", PATH, body, headers)
            answer = connection.getresponse()
            body_json = json.loads(answer.read())
        finally:
            connection.close()
        answers.append((answer.status, form.stem, body_json.get("payment_id")))

    workers = [threading.Thread(target=upload, args=(number,)) for number in range(UPLOADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.stdout.write(json.dumps(answers))


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", ["eventlet", "gevent"])
def test_two_hundred_uploads_at_once_block_nothing_and_leave_nothing_behind(serve, tmp_path, mode):
    """Each is answered or told to retry; /healthz answers; memory and disk are freed."""
    tmp_folder, forms = tmp_path / "tmp", tmp_path / "forms"
    tmp_folder.mkdir()
    forms.mkdir()
    service = serve(
        ASYNC_MODE=mode,
        TMPDIR=tmp_folder,
        TRUSTED_PROXIES=1,
        RECOVERY_TRIES_PER_MINUTE=10_000,
        RECOVERY_PICTURES_PER_MINUTE=10_000,
        LOG_LEVEL="warning",
    )
    for number in range(PAYMENTS):
        payment = service.create(order_id=f"o{number}")
        body, content_type = multipart(large_photo(payment["pix_code"]))
        (forms / f"{payment['id']}.form").write_bytes(f"{content_type}\n".encode() + body)
    pid = service.process.pid
    before = highest = resident_bytes(pid)
    times: list[float] = []

    answers_file = tmp_path / "answers.json"
    with answers_file.open("wb") as output:
        command = [
            sys.executable,
            "-m",
            "tests.recovery.test_uploads_at_once",
            str(service.port),
            str(forms),
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=output)
        try:
            while process.poll() is None:
                started_at = time.monotonic()
                assert service.get("/healthz")[0] == 200
                times.append(time.monotonic() - started_at)
                highest = max(highest, resident_bytes(pid))
                time.sleep(0.02)
        finally:
            process.kill()
    answers = json.loads(answers_file.read_bytes())

    statuses = Counter(status for status, _, _ in answers)
    print(  # noqa: T201 - a reader of a failure wants the numbers
        f"{dict(statuses)}; /healthz p95 {p95(times) * 1000:.0f} ms of {len(times)}, "
        f"longest {max(times) * 1000:.0f} ms; {(highest - before) / 2**20:.0f} MB more"
    )
    assert sum(statuses.values()) == UPLOADS
    assert set(statuses) <= {200, 429, 503}
    assert statuses[200] >= PAYMENTS
    wrong = [pair for status, *pair in answers if status == 200 and pair[0] != pair[1]]
    assert wrong == []
    assert p95(times) < P95_SECONDS_MAX
    assert highest - before < MEMORY_MAX
    assert list(tmp_folder.iterdir()) == []
    open_files = [_target(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    assert [target for target in open_files if str(tmp_folder) in target] == []
    assert "Traceback" not in service.log()


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


if __name__ == "__main__":
    send_all(int(sys.argv[1]), Path(sys.argv[2]))
