"""`flask doctor`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import click
from flask import Flask
from flask.cli import ScriptInfo, with_appcontext
from sqlalchemy import exc

from config import ConfigurationError, Settings, current_settings
from core.errors import BalcaoError
from server import schema
from server.check_results import CheckResult, end_with
from server.doctor import data_checks, machine_checks, network_checks

Check = Callable[[Settings], Iterator[CheckResult]]
CHECKS: dict[str, Check] = {
    "settings": machine_checks.check_settings,
    "database": data_checks.check_database,
    "schema": data_checks.check_schema,
    "Redis": data_checks.check_redis,
    "jobs": data_checks.check_jobs,
    "PUBLIC_URL": network_checks.check_public_url,
    "certificate": network_checks.check_certificate,
    "bank certificates": data_checks.check_bank_certificates,
    "bank": network_checks.check_bank,
    "disk": machine_checks.check_disk,
    "metrics": machine_checks.check_metrics_folder,
    "open files": machine_checks.check_open_files,
}
SECONDS_MAX = 15.0
"""For all checks together: they run at the same time."""


def register(app: Flask) -> None:
    """Add the command to `flask`."""
    app.cli.add_command(doctor)


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
@with_appcontext
def doctor(as_json: bool) -> None:
    """Check this installation while the service runs; exit status 1 if something is broken.

    Nothing is changed. It sends one request to PUBLIC_URL and one to the bank.
    """
    app = click.get_current_context().ensure_object(ScriptInfo).load_app()
    settings = current_settings()
    answers: dict[str, list[CheckResult]] = {name: [] for name in CHECKS}
    threads = []
    for name, check in CHECKS.items():
        thread = threading.Thread(
            target=_run, args=(app, settings, name, check, answers[name]), daemon=True
        )
        thread.start()
        threads.append((name, thread))
    limit = time.monotonic() + SECONDS_MAX
    for name, thread in threads:
        thread.join(max(0.0, limit - time.monotonic()))
        if thread.is_alive():
            detail = f"No answer within {SECONDS_MAX:.0f} s."
            answers[name] = [*answers[name], CheckResult(name, "fail", detail)]
    end_with([result for results in answers.values() for result in results], as_json=as_json)


def _run(
    app: Flask, settings: Settings, name: str, check: Check, results: list[CheckResult]
) -> None:
    """Run one check; an error is a result too."""
    detail = None
    with app.app_context():
        try:
            for result in check(settings):
                results.append(result)
        except BalcaoError as error:
            detail = error.detail
        except ConfigurationError as error:
            detail = str(error)
        except exc.DBAPIError as error:
            detail = f"The database failed: {schema.reason_of(error)}."
        except Exception as error:
            detail = f"The check failed with {type(error).__name__}."
    if detail is not None:
        results.append(CheckResult(name, "fail", detail))
