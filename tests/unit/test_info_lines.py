"""The bank's parser of a receiver's lines for the payer, which a stranger's service signs."""

from __future__ import annotations

import pytest

from bank.codes.charge import Charge, charge_from


def parse(info: object) -> Charge:
    """Parse a payload with this `infoAdicionais`."""
    return charge_from(
        {
            "revisao": 0,
            "calendario": {
                "criacao": "2026-01-02T12:00:00Z",
                "apresentacao": "2026-01-02T12:00:00Z",
                "expiracao": 60,
            },
            "txid": "a" * 30,
            "status": "ATIVA",
            "chave": "alice@feira.example",
            "valor": {"original": "1.00"},
            "infoAdicionais": info,
        }
    )


def test_names_and_values_are_read_in_order():
    lines = [{"nome": "Mesa", "valor": "4"}, {"nome": "Garçom", "valor": "Bia"}]
    assert parse(lines).info == (("Mesa", "4"), ("Garçom", "Bia"))


@pytest.mark.parametrize("info", [None, "Mesa", {"nome": "Mesa"}, 7, [], [7, None, {}]])
def test_another_shape_is_no_reason_not_to_pay(info):
    """The lines are only information: the amount and the payee decide."""
    assert parse(info).info == ()


def test_lines_are_bounded():
    info = parse([{"nome": "n" * 500, "valor": "v" * 5000}] * 500).info
    assert len(info) == 50
    assert {(len(name), len(value)) for name, value in info} == {(50, 200)}
