"""`flask bank chaos`, `burst` and `verify`: the test bench from a terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
from click import ClickException, echo

from bank.chaos.scenarios import SEED_MAX, Mix, MixError, mix_from
from bank.codes.http import AnswerTooLarge, HttpClient, NoAnswer
from bank.money.demo import DEMO_PIN
from bank.text import brl, clean
from bank.workbench import doctor
from bank.workbench.burst import Burst, BurstFailed, BurstPlan
from bank.workbench.burst_report import BurstReport
from core.clock import SystemClock

SERVICE_URL = "http://127.0.0.1:5000"
BANK_URL = f"{SERVICE_URL}/bank"
_BODY_BYTES_MAX = 1_000_000

_bank_option = click.option(
    "--bank", "--url", "bank", envvar="BANK_URL", default=BANK_URL, show_default=True,
    help="Where the bank answers.",
)  # fmt: skip


class MixType(click.ParamType[Mix]):
    """A preset's name, or `name=weight,…`."""

    name = "mix"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Mix:
        """The mix; a wrong one ends the command with the reason."""
        if isinstance(value, Mix):
            return value
        try:
            return mix_from(str(value))
        except MixError as error:
            self.fail(str(error), param, ctx)


@click.command("chaos")
@click.argument("mix", type=MixType(), required=False)
@click.option("--seed", type=click.IntRange(0, SEED_MAX), default=0, show_default=True)
@_bank_option
def chaos_command(mix: Mix | None, seed: int, bank: str) -> None:
    """Show the mix that payments draw their scenario from, or begin a run with MIX.

    MIX is realistic, duplicates, hostile, or weights: normal=70,double=20,late=10. The same seed
    gives the k-th payment of a run the same scenario.
    """
    url = f"{bank.rstrip('/')}/api/chaos"
    told = _asked("GET", url) if mix is None else _asked("PUT", url, mix=str(mix), seed=seed)
    echo(f"Mistura:   {_shown(told['mix'])}")
    echo(f"Semente:   {_shown(told['seed'])}")
    echo(f"Sorteados: {_shown(told['drawn'])}")


@click.command("burst")
@click.option("--payments", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option("--rate", type=click.FloatRange(0, 10_000, min_open=True), default=50,
              show_default=True, help="Payments a second, if both sides can.")  # fmt: skip
@click.option("--mix", type=MixType(), default="realistic", show_default=True)
@click.option("--seed", type=click.IntRange(0, SEED_MAX), default=0, show_default=True)
@click.option("--service", default=SERVICE_URL, envvar="PUBLIC_URL", show_default=True,
              help="Where the service answers.")  # fmt: skip
@_bank_option
@click.option("--api-key", envvar="BALCAO_API_KEY", help="The merchant's; none: the demo merchant.")
@click.option("--pin", default=DEMO_PIN, help="Of the burst's payer; the demo's by default.")
@click.option("--timeout", type=click.FloatRange(1, 86_400), default=300, show_default=True,
              help="Seconds after which what has no end counts as lost.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def burst_command(as_json: bool, timeout: float, **options: Any) -> None:
    """Make many payments, pay them with chaos, and compare both sides' books to the centavo.

    The exit status is 1 if anything was lost, doubled, or ended where it must not.
    """
    plan = BurstPlan(
        payments=options["payments"],
        rate=options["rate"],
        mix=options["mix"],
        seed=options["seed"],
        service_url=options["service"].rstrip("/"),
        bank_url=options["bank"].rstrip("/"),
        pin=options["pin"],
        api_key=options["api_key"],
        timeout_seconds=timeout,
    )
    total = 2 * plan.payments
    # To standard error, so that standard output holds the report alone.
    with click.progressbar(length=total, label="Rajada", file=sys.stderr) as bar:

        def moved(sent: int, ended: int) -> None:
            bar.update(max(0, sent + ended - bar.pos))

        try:
            report = Burst(plan, moved).run()
        except BurstFailed as failure:
            raise ClickException(clean(str(failure), 300)) from None
        bar.update(total - bar.pos)
    if as_json:
        echo(json.dumps(report.as_json(), indent=2))
    else:
        _tell(report)
    if not report.is_good:
        raise click.exceptions.Exit(1)


@click.command("verify")
@click.option("--secret", help="whsec_…; without it the running bank examines with its own.")
@click.option("--headers", type=click.File("rb"), required=True,
              help="A file with the headers as they arrived; - reads standard input.")  # fmt: skip
@click.option("--body", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A file with the body, byte for byte; none: empty.")  # fmt: skip
@_bank_option
def verify_command(secret: str | None, headers: Any, body: Path | None, bank: str) -> None:
    """Say what is wrong with a signed notification.

    The exit status is 1 when something is.
    """
    told = headers.read(_BODY_BYTES_MAX).decode("utf-8", "replace")
    content = body.read_bytes()[:_BODY_BYTES_MAX] if body else b""
    if secret is not None:
        findings = doctor.diagnose(
            doctor.headers_in(told),
            content,
            [doctor.NamedSecret("given", secret)],
            SystemClock().now(),
        )
    else:
        answer = _asked("POST", f"{bank.rstrip('/')}/api/doctor", headers=told,
                        body=content.decode("utf-8", "replace"))  # fmt: skip
        findings = [doctor.Finding(**finding) for finding in answer["findings"]]
    for finding in findings:
        echo(f"{'✗' if finding.is_fault else '✓'} {_shown(finding.text)} [{_shown(finding.code)}]")
    if any(finding.is_fault for finding in findings):
        raise click.exceptions.Exit(1)


COMMANDS = (chaos_command, burst_command, verify_command)
"""What `flask bank` gets from here."""


def _tell(report: BurstReport) -> None:
    echo(f"Enviados:     {report.sent} em {report.seconds:.1f} s")
    echo(f"Confirmados:  {report.confirmed}")
    for reason, count in sorted(report.refused.items()):
        echo(f"Devolvidos:   {count} ({_shown(reason)})")
    for reason, count in sorted(report.unpaid.items()):
        echo(f"Não pagos:    {count} ({_shown(reason)})")
    echo(f"Perdidos:     {len(report.lost)}")
    echo(f"Em dobro:     {len(report.doubled)}")
    echo(f"Inesperados:  {len(report.unexpected)}")
    for txid in [*report.lost, *report.doubled][:20]:
        echo(f"  {txid}")
    for txid, problem in list(report.unexpected.items())[:20]:
        echo(f"  {txid}: {_shown(problem)}")
    if report.p50_ms is not None:
        echo(f"Até a resposta: p50 {report.p50_ms} ms, p95 {report.p95_ms} ms, "
             f"p99 {report.p99_ms} ms")  # fmt: skip
    echo(f"No banco:     {brl(report.bank_kept_centavos)}")
    echo(f"Na loja:      {brl(report.service_confirmed_centavos)} em pagamentos, "
         f"{brl(report.service_receipts_centavos)} em recibos")  # fmt: skip
    echo("As somas conferem." if report.are_sums_equal else "AS SOMAS NÃO CONFEREM.")


def _asked(method: str, url: str, **members: Any) -> dict[str, Any]:
    http_client = HttpClient()
    try:
        body = json.dumps(members).encode() if members else b""
        answer = http_client.send(method, url, body, {})
        told = json.loads(answer.body)
    except NoAnswer as failure:
        _fail(f"O banco não respondeu em {url} ({failure}). Ele está no ar?")
    except (AnswerTooLarge, ValueError, RecursionError):
        _fail(f"O que responde em {url} não é o banco.")
    finally:
        http_client.close()
    if not isinstance(told, dict):
        _fail(f"O que responde em {url} não é o banco.")
    if answer.status != 200:
        faults = "; ".join(str(fault.get("detail")) for fault in told.get("errors") or [])
        _fail(f"{_shown(told.get('title'))}: {_shown(faults or told.get('detail'))}")
    return told


def _shown(text: object) -> str:
    # What comes from outside must not steer the terminal.
    return clean(str(text), 500)


def _fail(sentence: str) -> NoReturn:
    raise ClickException(sentence)
