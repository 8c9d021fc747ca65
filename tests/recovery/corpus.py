"""Pictures of our QR codes as payers send them: photographed, forwarded, cut, dark; by seed.

python -m tests.recovery.corpus            # the table of results, kind by kind
python -m tests.recovery.corpus FOLDER     # write the pictures to a folder
"""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from blueprints.recovery.reading import decode_picture, is_ours
from blueprints.recovery.reading.pictures import BUDGET_SECONDS
from core.pix.br_code import encode_dynamic
from payments.qr_image import qr_png
from tests.recovery.kinds import KINDS, OTHER_CODES
from tests.recovery.scenery import Scene

BASE = "pix.loja.example"
PER_KIND, SEED = 13, 2026
_NAMES = ("Loja da Alice", "Padaria Pao Quente Ltda", "A", "Mercearia do Bairro 24h", "Cafe & Cia")
_CITIES = ("SAO PAULO", "Rio", "Belo Horizonte", "Recife")
HOSTS = (BASE, "pagar.loja-da-alice.com.example")


@dataclass(frozen=True)
class Sample:
    """One picture of the corpus, with the text of its code."""

    kind: str
    number: int
    text: str
    data: bytes


def samples(per_kind: int = PER_KIND, seed: int = SEED) -> Iterator[Sample]:
    """`per_kind` pictures of every kind; the same seed gives the same pictures."""
    for kind in KINDS:
        for number in range(per_kind):
            yield sample(kind, number, seed)


def sample(kind: str, number: int, seed: int = SEED) -> Sample:
    """One picture of the corpus."""
    rng = random.Random(f"{seed}-{kind}-{number}")
    return sample_of(kind, number, code_of(rng), rng)


def sample_of(kind: str, number: int, text: str, rng: random.Random) -> Sample:
    """One picture of this kind, with this code in it."""
    scene = Scene(text, Image.open(io.BytesIO(qr_png(text))).convert("L"))
    return Sample(kind, number, text, KINDS[kind](rng, scene))


def code_of(rng: random.Random) -> str:
    """A code of ours with a random token, name and host."""
    token = f"{rng.getrandbits(128):032x}"
    location = f"{rng.choice(HOSTS)}/qr/v2/{token}"
    return encode_dynamic(location, rng.choice(_NAMES), rng.choice(_CITIES))


@dataclass(frozen=True)
class Result:
    """What was read in one picture of the corpus."""

    kind: str
    is_found: bool
    wrong: tuple[str, ...]
    """Texts that are not in the picture."""
    rung: str | None
    looked_ms: int


def results(
    per_kind: int = PER_KIND, seed: int = SEED, budget_seconds: float = BUDGET_SECONDS
) -> Iterator[Result]:
    """Read the whole corpus, picture by picture."""
    for sample in samples(per_kind, seed):
        reading = decode_picture(
            sample.data, is_ours=is_ours_in_corpus, budget_seconds=budget_seconds
        )
        expected = {sample.text, *other_codes(sample)}
        yield Result(
            sample.kind,
            sample.text in reading.texts,
            tuple(text for text in reading.texts if text not in expected),
            reading.rung,
            reading.looked_ms,
        )


def is_ours_in_corpus(text: str) -> bool:
    """Whether the text is a code at one of the corpus's hosts."""
    return any(is_ours(text, location_base=host) for host in HOSTS)


def other_codes(sample: Sample) -> tuple[str, ...]:
    """The other codes that the picture may show."""
    return OTHER_CODES if sample.kind == "two codes" else ()


def table(results_of_samples: Iterable[Result]) -> str:
    """The results by kind, and by the rung that found the code."""
    kinds: dict[str, list[Result]] = {}
    rungs: dict[str, int] = {}
    for result in results_of_samples:
        kinds.setdefault(result.kind, []).append(result)
        if result.is_found and result.rung:
            rungs[result.rung] = rungs.get(result.rung, 0) + 1
    lines = [f"{'kind':<24}{'found':>9}{'wrong':>7}{'median ms':>11}{'max ms':>8}"]
    for kind, of_kind in [*kinds.items(), ("all", [r for rs in kinds.values() for r in rs])]:
        times_ms = sorted(result.looked_ms for result in of_kind)
        score = f"{sum(result.is_found for result in of_kind)}/{len(of_kind)}"
        wrong = sum(len(result.wrong) for result in of_kind)
        middle = times_ms[len(times_ms) // 2]
        lines.append(f"{kind:<24}{score:>9}{wrong:>7}{middle:>11}{times_ms[-1]:>8}")
    ranked = sorted(rungs.items(), key=lambda rung: -rung[1])
    return "\n".join([*lines, "", *(f"{name:<24}{count:>9}" for name, count in ranked)])


def _write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    endings = {b"\x89P": "png", b"GI": "gif", b"RI": "webp"}
    for sample in samples():
        name = f"{sample.kind}-{sample.number:02d}.{endings.get(sample.data[:2], 'jpg')}"
        (folder / name).write_bytes(sample.data)


def main() -> None:
    """Print the table of results, or write the pictures to a folder."""
    if len(sys.argv) > 1:
        _write(Path(sys.argv[1]))
    else:
        sys.stdout.write(table(results()) + "\n")


if __name__ == "__main__":
    main()
