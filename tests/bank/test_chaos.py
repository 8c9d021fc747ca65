"""Chaos: mixes are repeatable, and each scenario ends as docs/chaos.md says."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from bank.app import close_bank_app, create_bank_app
from bank.chaos.chaos import wrong_secret
from bank.chaos.chaos_words import SCENARIO_TEXTS
from bank.chaos.scenarios import (
    DEADLINE_SCENARIOS,
    ENDINGS,
    FOUND_BY_LOOK_UP,
    PRESETS,
    Ending,
    MixError,
    draw,
    mix_from,
)
from bank.cli import bank_cli
from bank.models import Notice
from bank.settings import BankSettings, own_host
from core.scenarios import Scenario
from core.signing.signatures import is_secret
from tests.bank.conftest import hidden_fields
from tests.support.service import ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN_SECONDS = 60


def rows_of(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of docs/chaos.md."""
    text = (ROOT / "docs/chaos.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


# --- mixes ---------------------------------------------------------------------------------------


def test_the_document_lists_every_scenario_with_its_ending():
    """Developers of a shop write their tests from this table."""
    documented = {}
    for name, _, payment, reason, receipt, state in rows_of("Scenarios"):
        code = None if reason == "none" else reason.strip("`")
        documented[name.strip("`")] = (payment.strip("`"), code, receipt == "yes", state.strip("`"))

    assert documented == {
        scenario.value: (e.payment, e.reason, e.is_receipt_stored, e.bank_state)
        for scenario, e in ENDINGS.items()
    }


def test_the_document_lists_every_preset():
    """A wrong weight in the document would promise other numbers."""
    documented = {name.strip("`"): mix.strip("`") for name, mix in rows_of("As a mix")}

    assert set(documented) == set(PRESETS)
    assert {n: m for n, m in documented.items() if n != "hostile"} == {
        name: mix for name, mix in PRESETS.items() if name != "hostile"
    }
    assert mix_from("hostile").weights == tuple((scenario, 1) for scenario in Scenario)


def test_each_scenario_has_an_ending_and_a_text():
    """The payer must be told which fault is injected."""
    assert set(ENDINGS) == set(Scenario)
    assert set(SCENARIO_TEXTS) == set(Scenario) - {Scenario.NORMAL}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "above zero"),
        ("normal=0", "above zero"),
        ("norml=3", "not one of"),
        ("normal=-1", "whole number"),
        ("normal=1.5", "whole number"),
        ("normal=99999999999", "whole number"),
        ("normal=1,normal=2", "twice"),
        ("normal=٣", "whole number"),
        ("x" * 501, "characters"),
    ],
)
def test_a_wrong_mix_is_refused_with_the_reason(text, word):
    """A typing error must not start a run of normal payments."""
    with pytest.raises(MixError, match=word):
        mix_from(text)


def test_the_same_seed_gives_the_same_payments_in_any_order():
    """The random numbers of a payment depend on its number, so threads cannot change them."""
    mix = mix_from("realistic")
    forward = [draw(mix, 7, number) for number in range(1, 301)]
    backward = [draw(mix, 7, number) for number in range(300, 0, -1)][::-1]

    assert forward == backward
    assert forward != [draw(mix, 8, number) for number in range(1, 301)]
    assert len({one.scenario for one in forward}) == len(mix.weights)


def test_the_shares_of_a_long_run_match_the_weights():
    """A weight of 20 in 100 gives a fifth of the payments."""
    mix = mix_from("normal=70,double=20,late=10")
    scenarios = [draw(mix, 1, number).scenario for number in range(5000)]

    assert 900 < scenarios.count(Scenario.DOUBLE) < 1100
    assert 400 < scenarios.count(Scenario.LATE) < 600


def test_the_wrong_secret_is_well_formed_and_different():
    """A malformed secret would be refused for another reason than a wrong key."""
    secret = "whsec_" + "A" * 44

    assert is_secret(wrong_secret(secret))
    assert wrong_secret(secret) != secret


# --- the mix in force ----------------------------------------------------------------------------


def scenarios_paid(bank) -> list[str]:
    """The scenario of each payment, in order."""
    with bank.branch.database.reading() as session:
        return list(session.scalars(select(Notice.scenario).order_by(Notice.id)))


def test_payments_without_a_scenario_draw_from_the_mix_and_a_run_repeats(bank, service):
    """With the seed a developer repeats the run that failed."""
    runs = []
    for _ in range(2):
        answer = bank.client.put("/api/chaos", json={"mix": {"normal": 1, "double": 1}, "seed": 7})
        assert answer.status_code == 200, answer.text
        before = len(scenarios_paid(bank))
        for _ in range(6):
            assert bank.pay(service.charge(bank.clock.now(), amount="1.00")[0]).status_code == 200
        runs.append(scenarios_paid(bank)[before:])

    mix = mix_from("normal=1,double=1")
    assert runs[0] == runs[1] == [draw(mix, 7, number).scenario for number in range(1, 7)]
    assert bank.client.get("/api/chaos").get_json()["drawn"] == 6


def test_payments_at_once_draw_every_number_once(any_bank, service):
    """Two payments with the same number would make the run a different one."""
    any_bank.client.put("/api/chaos", json={"mix": "normal=1,double=1,late=1", "seed": 3})
    codes = [service.charge(any_bank.clock.now(), amount="1.00")[0] for _ in range(6)]

    with ThreadPoolExecutor(6) as crowd:
        answers = list(crowd.map(lambda code: _pay(any_bank, code), codes))

    mix = mix_from("normal=1,double=1,late=1")
    expected = sorted(draw(mix, 3, number).scenario for number in range(1, 7))
    assert answers == [200] * 6
    assert sorted(scenarios_paid(any_bank)) == expected


def _pay(bank, code: str) -> int:
    client = bank.app.test_client()
    return client.post("/api/pay", json={"code": code, "pin": "1234"}).status_code


def test_a_payment_with_a_scenario_draws_nothing_from_the_mix(bank, service):
    """This holds for the scenario *normal* too."""
    bank.client.put("/api/chaos", json={"mix": "pay-less", "seed": 1})

    bank.pay(service.charge(bank.clock.now())[0], scenario="normal")

    assert scenarios_paid(bank) == ["normal"]
    assert bank.client.get("/api/chaos").get_json()["drawn"] == 0


def test_the_mix_survives_a_restart_of_the_bank(bank, service):
    """The mix is stored in a row, so a killed bank continues the run."""
    bank.client.put("/api/chaos", json={"mix": "double", "seed": 5})

    restarted_app = create_bank_app(bank.branch.settings)
    run = restarted_app.test_client().get("/api/chaos").get_json()
    close_bank_app(restarted_app)

    assert (run["mix"], run["seed"]) == ("double=1", 5)


@pytest.mark.parametrize(
    "body",
    [{}, {"mix": 3}, {"mix": "x"}, {"mix": "normal", "seed": -1}, {"mix": "normal", "seed": True},
     {"mix": "normal", "seed": "9" * 30}, {"mix": {"normal": None}}],
)  # fmt: skip
def test_an_invalid_mix_or_seed_gets_a_400(bank, body):
    """No input of a client may cause a 500."""
    answer = bank.client.put("/api/chaos", json=body)

    assert answer.status_code == 400
    assert answer.get_json()["errors"][0]["field"] in ("mix", "seed")


def test_the_page_sets_the_mix_and_shows_errors(bank):
    """The form needs the session's CSRF token."""
    fields = hidden_fields(bank.client.get("/chaos").text)

    good = bank.client.post("/chaos", data={**fields, "preset": "realistic", "seed": "7"})
    bad = bank.client.post("/chaos", data={**fields, "mix": "norml=1", "seed": "7"})
    stranger = bank.client.post("/chaos", data={"preset": "hostile", "seed": "7"})

    assert good.status_code == 200
    assert "lost-once=3" in good.text
    assert (bad.status_code, stranger.status_code) == (400, 400)
    assert "“norml” não é nenhum destes: realistic, " in bad.text
    assert bank.client.get("/api/chaos").get_json()["mix"] == PRESETS["realistic"]


def test_the_command_sets_and_shows_the_mix(bank_url, bank):
    """`flask bank chaos` uses the bank's API."""
    set_result = CliRunner().invoke(bank_cli, ["chaos", "late=1", "--seed", "9", "--url", bank_url])
    show_result = CliRunner().invoke(bank_cli, ["chaos", "--url", bank_url])
    error_result = CliRunner().invoke(bank_cli, ["chaos", "lat=1", "--url", bank_url])

    assert set_result.exit_code == 0, set_result.output
    assert "late=1" in show_result.output
    assert "9" in show_result.output
    assert error_result.exit_code == 2
    assert "not one of" in error_result.output


def test_production_has_no_chaos(bank, service):
    """Nobody may make a bank in production send wrong notices."""
    settings = bank.branch.settings
    serious = BankSettings(
        settings.database_url, settings.webhook_secret, service.url, secrets.token_urlsafe(32),
        own_host(service.url), demo=False,
    )  # fmt: skip
    bank.client.put("/api/chaos", json={"mix": "pay-less", "seed": 1})
    app = create_bank_app(serious)
    client = app.test_client()
    order = {"code": service.charge(bank.clock.now())[0], "pin": "1234"}

    assert client.get("/chaos").status_code == 404
    assert client.get("/doctor").status_code == 404
    assert client.put("/api/chaos", json={"mix": "late", "seed": 1}).status_code == 404
    assert client.post("/api/burst/session", json={"pin": "1234"}).status_code == 404
    with_scenario = client.post("/api/pay", json={**order, "scenario": "double"})
    bank_answer = client.post("/api/pay", json=order)
    close_bank_app(app)
    assert (with_scenario.status_code, with_scenario.get_json()["code"]) == (404, "chaos-is-off")
    assert bank_answer.get_json()["amount_centavos"] == 5490


def test_two_notices_are_swapped(bank, service):
    """The notice of the second payment arrives before that of the first."""
    first = bank.pay(service.charge(bank.clock.now())[0], scenario="out-of-order").get_json()
    second = bank.pay(service.charge(bank.clock.now())[0], scenario="out-of-order").get_json()
    bank.clock.advance(3)
    bank.branch.outbox.send_due()

    order = [notice.members["end_to_end_id"] for notice in service.notices]
    assert order == [second["end_to_end_id"], first["end_to_end_id"]]


# --- each scenario against the real service ------------------------------------------------------


@dataclass
class ScenarioRuns:
    """A running service, and for each scenario a payment by hand and one by `test`."""

    process: ServiceProcess
    by_hand: dict[Scenario, tuple[dict, dict]]
    """The payment, and the bank's answer."""
    by_itself: dict[Scenario, dict]


@pytest.fixture(scope="module")
def scenario_runs(tmp_path_factory):
    """Each scenario run twice, all at the same time, against one running service."""
    with ServiceProcess(tmp_path_factory.mktemp("service")) as process:
        by_hand, by_itself = {}, {}
        second_payment = process.create(value="10.00")
        pay(process, second_payment, Scenario.OUT_OF_ORDER)
        for scenario in Scenario:
            near = {"expires_in": 10} if scenario in DEADLINE_SCENARIOS else {}
            payment = process.create(value="10.00", **near)
            by_hand[scenario] = (payment, pay(process, payment, scenario))
            test = {"scenario": scenario.value, "pay_after": 1, "late_seconds": 2}
            by_itself[scenario] = process.create(value="10.00", test=test, **near)
        for scenario in FOUND_BY_LOOK_UP:
            for payment in (by_hand[scenario][0], by_itself[scenario]):
                threading.Thread(
                    target=ask_until_found, args=(process, payment), daemon=True
                ).start()
        yield ScenarioRuns(process, by_hand, by_itself)


def pay(process: ServiceProcess, payment: dict, scenario: Scenario) -> dict:
    """Pay through the bank's API and return its answer."""
    body = {"code": payment["pix_code"], "pin": "1234", "scenario": scenario.value,
            "late_seconds": 2}  # fmt: skip
    status, answer_body, _ = process.request(
        "POST", "/bank/api/pay", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    assert status == 200, answer_body
    return json.loads(answer_body)


def ask_until_found(process: ServiceProcess, payment: dict) -> None:
    """Press *Já paguei* again until the service has found the payment."""
    limit = time.monotonic() + ENDS_WITHIN_SECONDS
    while time.monotonic() < limit:
        _, answer_body, _ = process.request(
            "POST", f"/payments/pix/{payment['id']}/check", b"", {"Accept": "application/json"}
        )
        if json.loads(answer_body)["status"] == "confirmed":
            return
        time.sleep(1)


def statement(process: ServiceProcess) -> dict[str, tuple[str, int]]:
    """Status and signed amount of Bia's payments at the bank, by end_to_end_id."""
    status, answer_body, _ = process.request(
        "GET",
        "/bank/api/statement?limit=100",
        headers={"Authorization": "Basic YmlhOjEyMzQ="},
    )
    assert status == 200, answer_body
    return {
        row["id"]: (row["status"], row["amount_centavos"])
        for row in json.loads(answer_body)["data"]
    }


def receipts(process: ServiceProcess, payment: dict) -> list[tuple[str, str | None]]:
    """Verdicts and reasons of the receipts that the service stores for a payment."""
    rows = json.loads(process.get("/payments/pix/receipts?limit=100")[1])["data"]
    mine = [row for row in rows if row["bank_payment_id"] == payment["id"]]
    return [(row["verdict"], row["reason"]) for row in mine]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", list(Scenario), ids=lambda scenario: scenario.value)
def test_each_scenario_ends_as_the_document_says(scenario_runs, scenario):
    """Status and receipts at the service, status and money at the bank."""
    process = scenario_runs.process
    payment, bank_answer = scenario_runs.by_hand[scenario]
    ending = ENDINGS[scenario]
    expected = (ending.payment, expected_receipts(ending), ending.bank_state)
    limit = time.monotonic() + ENDS_WITHIN_SECONDS
    while True:
        books = statement(process)
        state, amount = books[bank_answer["end_to_end_id"]]
        outcome = process.payment(payment["id"])["status"], receipts(process, payment), state
        if outcome == expected or time.monotonic() > limit:
            break
        time.sleep(0.5)

    assert outcome == expected
    debited_centavos = {Scenario.PAY_LESS: 999, Scenario.PAY_MORE: 1001}.get(scenario, 1000)
    assert amount == -debited_centavos
    _, answer_body, _ = process.request(
        "GET", "/bank/api/statement?limit=100", headers={"Authorization": "Basic YmlhOjEyMzQ="}
    )
    returns = [row for row in json.loads(answer_body)["data"] if row["kind"] == "return"]
    returned_endings = [e for e in ENDINGS.values() if e.bank_state == "returned"]
    if ending.bank_state == "returned":
        assert debited_centavos in [row["amount_centavos"] for row in returns]
    assert len(returns) <= len(returned_endings)


def expected_receipts(ending: Ending) -> list[tuple[str, str | None]]:
    """Verdicts and reasons of the receipts that the service must store."""
    if not ending.is_receipt_stored:
        return []
    return [("refused" if ending.reason else "accepted", ending.reason)]


def ledger_of(process: ServiceProcess, payment: dict) -> list[tuple[int, str, int]]:
    """For each transfer that the bank made for a payment: centavos, status, centavos returned."""
    query = """
        SELECT paid.amount_centavos, COALESCE(notice.verdict, 'sent'),
               COALESCE(back.amount_centavos, 0)
        FROM bank_transfers paid
        JOIN bank_notices notice ON notice.transfer_id = paid.id
        LEFT JOIN bank_transfers back ON back.reverses_id = paid.id
        WHERE paid.txid = ? AND paid.kind = 'payment'"""
    with closing(sqlite3.connect(process.instance / "bank.sqlite3", timeout=10)) as connection:
        return connection.execute(query, (payment["id"],)).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize("scenario", list(Scenario), ids=lambda scenario: scenario.value)
def test_a_payment_created_with_a_scenario_ends_by_itself_as_the_document_says(
    scenario_runs, scenario
):
    """The bank pays it once, without anybody at the bank's page, with the same ending."""
    process, payment = scenario_runs.process, scenario_runs.by_itself[scenario]
    ending = ENDINGS[scenario]
    centavos = {Scenario.PAY_LESS: 999, Scenario.PAY_MORE: 1001}.get(scenario, 1000)
    returned = centavos if ending.bank_state == "returned" else 0
    expected = (
        ending.payment, expected_receipts(ending), [(centavos, ending.bank_state, returned)]
    )  # fmt: skip
    limit = time.monotonic() + ENDS_WITHIN_SECONDS
    while True:
        status = process.payment(payment["id"])["status"]
        outcome = (status, receipts(process, payment), ledger_of(process, payment))
        if outcome == expected or time.monotonic() > limit:
            break
        time.sleep(0.5)

    assert outcome == expected


@pytest.mark.slow
def test_a_scenario_continues_after_the_bank_was_killed(tmp_path):
    """Its state is in rows: the next process sends the delayed notice, once."""
    with ServiceProcess(tmp_path) as process:
        payment = process.create(value="10.00")
        pay(process, payment, Scenario.LATE)
        process.kill()
        process.start()
        limit = time.monotonic() + ENDS_WITHIN_SECONDS
        while process.payment(payment["id"])["status"] != "confirmed":
            assert time.monotonic() < limit
            time.sleep(0.2)

        assert receipts(process, payment) == [("accepted", None)]


@pytest.mark.slow
def test_orders_to_the_robot_survive_the_death_of_service_and_bank(tmp_path):
    """Killed right after the 201, and while the bank waits for the time to pay: paid once each."""
    with ServiceProcess(tmp_path) as process:
        at_bank = process.create(value="10.00", test={"pay_after": 2, "scenario": "double"})
        limit = time.monotonic() + ENDS_WITHIN_SECONDS
        while not robot_orders(process):
            assert time.monotonic() < limit
            time.sleep(0.02)
        just_created = process.create(value="10.00", test={"scenario": "double"})
        process.kill()
        process.start()
        for payment in (at_bank, just_created):
            while process.payment(payment["id"])["status"] != "confirmed":
                assert time.monotonic() < limit
                time.sleep(0.1)
            assert receipts(process, payment) == [("accepted", None)]
            # The bank writes the service's answer down a moment later, so its state may be `sent`.
            transfers = ledger_of(process, payment)
            assert [(amount, returned) for amount, _, returned in transfers] == [(1000, 0)]


def robot_orders(process: ServiceProcess) -> list[tuple[str]]:
    """The ids of the orders that the bank has stored."""
    with closing(sqlite3.connect(process.instance / "bank.sqlite3", timeout=10)) as connection:
        return connection.execute("SELECT order_id FROM bank_robot_orders").fetchall()


def test_no_two_scenarios_have_the_same_text():
    """A payer could not tell them apart."""
    assert len(set(SCENARIO_TEXTS.values())) == len(SCENARIO_TEXTS)
    assert all(re.fullmatch(r"[a-zàáâãçéêíóôõú ,:é0-9]+", text) for text in SCENARIO_TEXTS.values())


def test_a_service_that_does_not_answer_stops_the_ten_copies(bank, service):
    """Ten timeouts in a row would outlast the lease, and another worker would claim the notice."""
    service.answers = [503, 200]
    bank.pay(service.charge(bank.clock.now())[0], scenario="ten-times")
    assert len(service.notices) == 1
    bank.clock.advance(3)

    bank.branch.outbox.send_due()

    assert len(service.notices) == 11
