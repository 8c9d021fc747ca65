"""`flask bank chaos`, `burst` and `verify`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from click import echo

from bank.chaos.scenarios import SEED_MAX, Mix, MixError, mix_from
from bank.money.demo import DEMO_PIN
from bank.terminal import ask_bank, bank_url, fail, printable, service_url
from bank.text import brl
from bank.workbench import doctor
from bank.workbench.burst import Burst, BurstFailed, BurstPlan
from bank.workbench.burst_report import BurstReport
from core.clock import SystemClock

_BODY_BYTES_MAX = 1_000_000

_bank_option = click.option(
    "--bank", "--url", "bank", default=bank_url,
    show_default="that of this installation",
    help="The bank's URL.",
)  # fmt: skip


class MixType(click.ParamType[Mix]):
    """A preset's name, or `name=weight,…`."""

    name = "mix"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Mix:
        """Parse the mix; a `MixError` becomes a usage error of the command."""
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
    """Show the mix that payments draw their scenarios from, or start a run with MIX.

    MIX is realistic, duplicates, hostile, or a list of weights: normal=70,double=20,late=10. With
    the same seed, the k-th payment of a run gets the same scenario.
    """
    url = f"{bank.rstrip('/')}/api/chaos"
    if mix is None:
        run = ask_bank("GET", url)
    else:
        run = ask_bank("PUT", url, {"mix": str(mix), "seed": seed})
    echo(f"Mistura:   {printable(run['mix'])}")
    echo(f"Semente:   {printable(run['seed'])}")
    echo(f"Sorteados: {printable(run['drawn'])}")


@click.command("burst")
@click.option("--payments", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option("--rate", type=click.FloatRange(0, 10_000, min_open=True), default=50,
              show_default=True, help="Payments per second, if both sides keep up.")  # fmt: skip
@click.option("--mix", type=MixType(), default="realistic", show_default=True)
@click.option("--seed", type=click.IntRange(0, SEED_MAX), default=0, show_default=True)
@click.option("--service", default=service_url,
              show_default="that of this installation",
              help="The service's URL.")  # fmt: skip
@_bank_option
@click.option(
    "--api-key",
    envvar="BALCAO_API_KEY",
    help="The merchant's API key; without one the demo merchant.",
)
@click.option("--pin", default=DEMO_PIN, help="The burst payer's PIN; by default the demo PIN.")
@click.option("--timeout", type=click.FloatRange(1, 86_400), default=300, show_default=True,
              help="Seconds until a payment that has not ended counts as lost.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def burst_command(as_json: bool, timeout: float, **options: Any) -> None:
    """Create many payments, pay them with chaos, and compare both sides' books to the centavo.

    The exit status is 1 if a payment was lost, doubled, or did not end as its scenario says.
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
    # The progress bar goes to standard error, so that standard output holds only the report.
    with click.progressbar(length=total, label="Rajada", file=sys.stderr) as bar:

        def show_progress(sent_count: int, ended_count: int) -> None:
            bar.update(max(0, sent_count + ended_count - bar.pos))

        try:
            report = Burst(plan, show_progress).run()
        except BurstFailed as failure:
            fail(printable(failure))
        bar.update(total - bar.pos)
    if as_json:
        echo(json.dumps(report.as_json(), indent=2))
    else:
        _print_report(report)
    if not report.is_good:
        raise click.exceptions.Exit(1)


@click.command("verify")
@click.option("--secret", help="whsec_…; without it the running bank uses its own.")
@click.option("--headers", type=click.File("rb"), required=True,
              help="A file with the headers as received; - reads standard input.")  # fmt: skip
@click.option("--body", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A file with the body as received; without it the body is empty.")  # fmt: skip
@_bank_option
def verify_command(secret: str | None, headers: Any, body: Path | None, bank: str) -> None:
    """Examine the signature of a notification.

    The exit status is 1 if anything is wrong with it.
    """
    header_text = headers.read(_BODY_BYTES_MAX).decode("utf-8", "replace")
    content = body.read_bytes()[:_BODY_BYTES_MAX] if body else b""
    if secret is not None:
        findings = doctor.diagnose(
            doctor.headers_in(header_text),
            content,
            [doctor.NamedSecret("given", secret)],
            SystemClock().now(),
        )
    else:
        paste = {"headers": header_text, "body": content.decode("utf-8", "replace")}
        answer = ask_bank("POST", f"{bank.rstrip('/')}/api/doctor", paste)
        findings = [doctor.Finding(**finding) for finding in answer["findings"]]
    for finding in findings:
        mark = "✗" if finding.is_fault else "✓"
        echo(f"{mark} {printable(finding.text)} [{printable(finding.code)}]")
    if any(finding.is_fault for finding in findings):
        raise click.exceptions.Exit(1)


def _print_report(report: BurstReport) -> None:
    echo(f"Enviados:     {report.sent} em {report.seconds:.1f} s")
    echo(f"Confirmados:  {report.confirmed}")
    for reason, count in sorted(report.refused.items()):
        echo(f"Devolvidos:   {count} ({printable(reason)})")
    for reason, count in sorted(report.unpaid.items()):
        echo(f"Não pagos:    {count} ({printable(reason)})")
    echo(f"Perdidos:     {len(report.lost)}")
    echo(f"Em dobro:     {len(report.doubled)}")
    echo(f"Inesperados:  {len(report.unexpected)}")
    for txid in [*report.lost, *report.doubled][:20]:
        echo(f"  {txid}")
    for txid, problem in list(report.unexpected.items())[:20]:
        echo(f"  {txid}: {printable(problem)}")
    if report.p50_ms is not None:
        echo(f"Até a resposta: p50 {report.p50_ms} ms, p95 {report.p95_ms} ms, "
             f"p99 {report.p99_ms} ms")  # fmt: skip
    echo(f"No banco:     {brl(report.bank_kept_centavos)}")
    echo(f"Na loja:      {brl(report.service_confirmed_centavos)} em pagamentos, "
         f"{brl(report.service_receipts_centavos)} em recibos")  # fmt: skip
    echo("As somas conferem." if report.are_sums_equal else "AS SOMAS NÃO CONFEREM.")
