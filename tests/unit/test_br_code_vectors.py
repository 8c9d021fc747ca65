"""Published BR Codes are read, refused or written as their sources say.

`tests/data/brcode-vectors.json` holds them with their fields, verdicts and sources.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.pix.br_code import (
    ERROR_CODES,
    BrCode,
    BrCodeError,
    BrCodeKind,
    crc16,
    decode,
    encode_dynamic,
    encode_recurring,
    encode_static,
)

_FILE = Path(__file__).parent.parent / "data" / "brcode-vectors.json"
DOCUMENT: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]


def _with_verdict(*verdicts: str) -> list[Any]:
    return [
        pytest.param(vector, id=vector["id"]) for vector in VECTORS if vector["verdict"] in verdicts
    ]


def _assert_read_as_published(read: BrCode, vector: dict[str, Any]) -> None:
    assert read.kind == vector["kind"]
    assert {name: getattr(read, name) for name in vector["fields"]} == vector["fields"]
    assert json.loads(json.dumps(read.tlv)) == vector["tlv"]


def test_the_error_codes_are_those_of_the_vectors() -> None:
    """Clients branch on the codes, so a renamed code would break them."""
    assert set(ERROR_CODES) == set(DOCUMENT["errors"])


@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
@pytest.mark.parametrize("vector", _with_verdict("valid"))
def test_a_valid_code_is_read_in_either_mode(vector: dict[str, Any], strict: bool) -> None:
    """Field by field and object by object, without a warning."""
    read = decode(vector["payload"], strict=strict)
    _assert_read_as_published(read, vector)
    assert read.warnings == ()


@pytest.mark.parametrize("vector", _with_verdict("tolerated"))
def test_a_tolerated_code_is_read_with_a_warning_and_refused_strictly(
    vector: dict[str, Any],
) -> None:
    """Payers meet such codes; we must be able to read them and never write them."""
    read = decode(vector["payload"])
    _assert_read_as_published(read, vector)
    assert read.warnings[0] in vector["strict_errors_accepted"]
    with pytest.raises(BrCodeError) as error:
        decode(vector["payload"], strict=True)
    assert error.value.code in vector["strict_errors_accepted"]


@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
@pytest.mark.parametrize("vector", _with_verdict("invalid"))
def test_an_invalid_code_is_refused_with_its_own_error(
    vector: dict[str, Any], strict: bool
) -> None:
    """The error names the first fault in the published order of checks."""
    with pytest.raises(BrCodeError) as error:
        decode(vector["payload"], strict=strict)
    assert error.value.code == vector["error"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["crc_ok"]], ids=lambda v: v["id"])
def test_the_crc_is_computed_as_published(vector: dict[str, Any]) -> None:
    """Over the UTF-8 bytes up to and including `6304`."""
    payload: str = vector["payload"]
    assert crc16(payload[:-4]) == payload[-4:].upper()


def _canonical_text(read: BrCode) -> str:
    if read.recurrence_url is not None:
        return encode_recurring(
            read.recurrence_url, read.merchant_name, read.merchant_city, location=read.url
        )
    if read.url is not None:
        return encode_dynamic(
            read.url,
            read.merchant_name,
            read.merchant_city,
            postal_code=read.postal_code,
            single_use=read.is_single_use,
        )
    assert read.key is not None
    return encode_static(
        read.key,
        read.merchant_name,
        read.merchant_city,
        amount_centavos=read.amount_centavos,
        txid=read.txid,
        additional_info=read.additional_info,
        postal_code=read.postal_code,
        single_use=read.is_single_use,
    )


def _is_ours_to_write(vector: dict[str, Any]) -> bool:
    """Whether the encoder can write the code: valid, one kind, no withdrawal, no unused amount."""
    fields = vector["fields"]
    return (
        vector["verdict"] == "valid"
        and vector["kind"] != BrCodeKind.COMPOSITE_STATIC
        and fields["fss"] is None
        and (fields["url"] is None or fields["amount"] is None)
    )


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if "fields" in v and _is_ours_to_write(v)], ids=lambda v: v["id"]
)
def test_a_canonical_code_is_written_again_exactly(vector: dict[str, Any]) -> None:
    """The encoder agrees with Banco Central's examples, except for the case of the GUI."""
    payload: str = vector["payload"]
    folded = payload.replace("BR.GOV.BCB.PIX", "br.gov.bcb.pix")[:-4]
    assert _canonical_text(decode(payload)) == folded + crc16(folded)
    if vector["fields"]["gui"] == "br.gov.bcb.pix":
        assert _canonical_text(decode(payload)) == payload
