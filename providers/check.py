"""Try what an account needs of its bank, step by step, and say of each step whether it works.

Every step has a line, also after an earlier one failed or when the time is over.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import structlog
from cryptography import x509
from flask import Flask
from flask.globals import app_ctx

from core.provider_errors import ProviderSecretsUnreadable
from db_models import ProviderAccount
from providers import callbacks
from providers.accounts import provider_of, vault
from providers.api_pix.certificates import first_certificate
from providers.api_pix.profiles import AccountProfile, merged_profile
from providers.api_pix.tls import bank_context, names_our_certificate
from providers.certificate_notices import days_left
from providers.enrolment import callback_url
from providers.port import Provider, ProviderAway, ProviderRefusal
from providers.secrets import AccountSecrets
from repository.database import in_unit_of_work, now
from web.limits import limits, per_seconds, register_limit

log = structlog.get_logger()

CONNECT_SECONDS = 5
COMMAND_SECONDS, PAGE_SECONDS = 55, 25
"""How long all steps together may take at the terminal, and in a request of the portal."""
OFFSET_WARNED = timedelta(seconds=30)
CERTIFICATE_DAYS_WARNED = 30
CHECKS_MAX = 6
"""Checks of one account within a minute: each is some calls, and a new token for a new process."""
LIMIT = register_limit("provider-check")
_PORTS = {"https": 443, "http": 80}


class CheckStep(StrEnum):
    """The steps, in the order of the table."""

    SECRETS = "secrets"
    ADDRESS = "address"
    BANK_CERTIFICATE = "bank-certificate"
    CERTIFICATE = "certificate"
    TOKEN = "token"  # noqa: S105 - a step's name
    SCOPES = "scopes"
    KEY = "key"
    CALLBACK = "callback"
    MONEY = "money"
    CLOCK = "clock"


class StepState(StrEnum):
    """What came of a step."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    UNTRIED = "untried"
    """An earlier step failed, or the time was over."""


@dataclass(frozen=True)
class CheckLine:
    """A row of the table; `providers.check_words` makes its sentence of `code` and `facts`."""

    step: CheckStep
    state: StepState
    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def check_account(account: ProviderAccount, seconds: float) -> list[CheckLine]:
    """Try every step, within `seconds`; call it outside of a unit of work.

    A step that is still waiting then goes on in its thread until its own time-out, and its line
    says that the bank has not answered. While this process checks the account, and after CHECKS_MAX
    checks within a minute, nothing is tried, and every line says so.
    """
    ending = ExitStack()
    if ending.enter_context(limits().running(LIMIT, account.public_id)) > 1:
        ending.close()
        return _untried("running")
    wait = limits().take(per_seconds(CHECKS_MAX, 60), LIMIT, account.public_id)
    if wait is not None:
        ending.close()
        limits().count(LIMIT)
        return _untried("too-often", seconds=wait)
    run = _Run(app_ctx.app, account, ending)
    threading.Thread(target=run.work, name="provider-check", daemon=True).start()
    run.finished.wait(seconds)
    return run.table()


def _untried(code: str, **facts: Any) -> list[CheckLine]:
    return [CheckLine(step, StepState.UNTRIED, code, facts) for step in CheckStep]


def has_failed(lines: list[CheckLine]) -> bool:
    """Whether something does not work, or could not be tried."""
    return any(line.state in (StepState.BAD, StepState.UNTRIED) for line in lines)


class _Run:
    """One check; `lines` grows in a thread of its own."""

    def __init__(self, app: Flask, account: ProviderAccount, ending: ExitStack) -> None:
        self._app = app
        self._ending = ending
        self._account = account
        self._lines: dict[CheckStep, CheckLine] = {}
        self._running: CheckStep | None = None
        self._is_certificate_refused = False
        self.finished = threading.Event()

    def table(self) -> list[CheckLine]:
        """A line for every step, as far as it is known by now."""
        lines = dict(self._lines)
        running = self._running
        for step in CheckStep:
            if step in lines:
                continue
            code = "no-answer" if step is running else "time-over"
            state = StepState.BAD if step is running else StepState.UNTRIED
            lines[step] = CheckLine(step, state, code)
        return [lines[step] for step in CheckStep]

    def work(self) -> None:
        """Try the steps in their order."""
        with self._app.app_context():
            try:
                self._try_all()
            except Exception:
                log.exception("provider.check_failed", account=self._account.public_id)
            finally:
                self._ending.close()
                self.finished.set()

    def _try_all(self) -> None:
        secrets = self._open_secrets()
        if secrets is None:
            self._leave_untried("no-secrets")
            return
        try:
            profile = merged_profile(
                self._account.profile, self._account.environment, self._account.overrides
            )
            client: Any = provider_of(self._account.id)
        except ValueError as error:  # a profile that has changed since the account was stored
            self._note(CheckStep.ADDRESS, StepState.BAD, "settings", reason=str(error)[:200])
            self._leave_untried("earlier")
            return
        steps: dict[CheckStep, Callable[[], None]] = {
            CheckStep.ADDRESS: lambda: self._try_addresses(profile, secrets),
            CheckStep.CERTIFICATE: lambda: self._look_at_certificate(profile, secrets),
            CheckStep.TOKEN: lambda: self._get_token(client),
            CheckStep.CALLBACK: lambda: self._read_callback(client),
            CheckStep.MONEY: lambda: self._list_money(client),
            CheckStep.CLOCK: lambda: self._compare_clocks(client),
        }
        for step, attempt in steps.items():
            self._running = step
            attempt()
        self._running = None
        self._store_health()

    def _store_health(self) -> None:
        """Store with the account whether its bank answers, as payments do after each call."""
        answers = [
            self._lines[step] for step in (CheckStep.TOKEN, CheckStep.CALLBACK, CheckStep.MONEY)
        ]
        faults = [str(line.facts["fault"])[:64] for line in answers if line.code == "fault"]
        values: dict[str, Any] = {"fault": None, "fault_at": None, "answered_at": now()}
        if faults:
            values = {"fault": faults[0], "fault_at": now()}
        row = self._account.id
        in_unit_of_work(lambda work: work.provider_accounts.change(row, values))

    def _leave_untried(self, code: str) -> None:
        for step in CheckStep:
            if step not in self._lines:
                self._note(step, StepState.UNTRIED, code)

    def _note(self, step: CheckStep, state: StepState, code: str = "", **facts: Any) -> None:
        self._lines[step] = CheckLine(step, state, code or state, facts)

    def _note_failure(self, step: CheckStep, error: ProviderAway | ProviderRefusal) -> None:
        detail = error.detail if isinstance(error, ProviderRefusal) else ""
        self._note(step, StepState.BAD, "fault", fault=error.code, detail=detail)

    def _open_secrets(self) -> AccountSecrets | None:
        try:
            secrets = vault().open(self._account.sealed)
        except ProviderSecretsUnreadable:
            self._note(CheckStep.SECRETS, StepState.BAD, "unreadable")
            return None
        self._note(CheckStep.SECRETS, StepState.GOOD)
        return secrets

    def _try_addresses(self, profile: AccountProfile, secrets: AccountSecrets) -> None:
        """Connect to each host, and look at its certificate."""
        hosts: list[str] = []
        days: list[int] = []
        for url in dict.fromkeys([profile.base, profile.token_url]):
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
            try:
                connection = socket.create_connection((host, port), CONNECT_SECONDS)
            except OSError:
                self._note(CheckStep.ADDRESS, StepState.BAD, "unreachable", host=host)
                self._note(CheckStep.BANK_CERTIFICATE, StepState.UNTRIED, "earlier")
                return
            hosts.append(host)
            with connection:
                if parts.scheme == "https" and not self._look_at_bank(
                    connection, host, secrets, days
                ):
                    self._note_hosts(hosts)
                    return
        self._note_hosts(hosts)
        if not days:
            self._note(CheckStep.BANK_CERTIFICATE, StepState.GOOD, "local")
            return
        self._note(CheckStep.BANK_CERTIFICATE, StepState.GOOD, days=min(days))

    def _note_hosts(self, hosts: list[str]) -> None:
        self._note(CheckStep.ADDRESS, StepState.GOOD, hosts=", ".join(dict.fromkeys(hosts)))

    def _look_at_bank(
        self, connection: socket.socket, host: str, secrets: AccountSecrets, days: list[int]
    ) -> bool:
        """Begin TLS; add the days left of the bank's certificate. False if it cannot be used."""
        try:
            with bank_context(secrets).wrap_socket(connection, server_hostname=host) as tls:
                der = tls.getpeercert(binary_form=True) or b""
        except ssl.SSLCertVerificationError as error:
            self._note(
                CheckStep.BANK_CERTIFICATE, StepState.BAD, "untrusted", reason=error.verify_message
            )
            return False
        except (ssl.SSLError, OSError) as error:
            if names_our_certificate(error, has_certificate=bool(secrets.certificate_pem)):
                # The bank's own certificate was accepted before; the step of ours says the rest.
                self._is_certificate_refused = True
                return True
            reason = str(getattr(error, "reason", None) or "closed").replace("_", " ").lower()
            self._note(CheckStep.BANK_CERTIFICATE, StepState.BAD, "broken", reason=reason)
            return False
        certificate = x509.load_der_x509_certificate(der)
        days.append(days_left(certificate.not_valid_after_utc, now()))
        return True

    def _look_at_certificate(self, profile: AccountProfile, secrets: AccountSecrets) -> None:
        try:
            certificate = first_certificate(secrets.certificate_pem)
        except ValueError:
            certificate = None
        if certificate is None:
            is_local = urlsplit(profile.base).scheme == "http"
            if not profile.needs_certificate or is_local:
                self._note(CheckStep.CERTIFICATE, StepState.GOOD, "not-needed")
            else:
                self._note(CheckStep.CERTIFICATE, StepState.BAD, "missing")
            return
        days = days_left(certificate.not_valid_after_utc, now())
        if self._is_certificate_refused:
            self._note(CheckStep.CERTIFICATE, StepState.BAD, "refused")
        elif certificate.not_valid_after_utc <= now():
            self._note(CheckStep.CERTIFICATE, StepState.BAD, "expired")
        elif days < CERTIFICATE_DAYS_WARNED:
            self._note(CheckStep.CERTIFICATE, StepState.WARNING, "soon", days=days)
        else:
            self._note(CheckStep.CERTIFICATE, StepState.GOOD, days=days)

    def _get_token(self, client: Any) -> None:
        try:
            report = client.exchange.token_report()
        except (ProviderAway, ProviderRefusal) as error:
            self._note_failure(CheckStep.TOKEN, error)
            self._note(CheckStep.SCOPES, StepState.UNTRIED, "earlier")
            return
        self._note(CheckStep.TOKEN, StepState.GOOD, seconds=int(report.life.total_seconds()))
        if report.missing_scopes:
            scopes = ", ".join(report.missing_scopes)
            self._note(CheckStep.SCOPES, StepState.BAD, "missing", scopes=scopes)
        elif report.scopes is None:
            self._note(CheckStep.SCOPES, StepState.GOOD, "unsaid")
        else:
            self._note(CheckStep.SCOPES, StepState.GOOD)

    def _read_callback(self, client: Provider) -> None:
        """The registered address belongs to the key, so it also tells whether the key is ours."""
        try:
            registered = client.registered_callback()
        except (ProviderAway, ProviderRefusal) as error:
            self._note_failure(CheckStep.CALLBACK, error)
            if isinstance(error, ProviderRefusal):
                self._note_failure(CheckStep.KEY, error)
            else:
                self._note(CheckStep.KEY, StepState.UNTRIED, "earlier")
            return
        fault = callbacks.fault_of(registered, callback_url(self._account))
        if registered is None:
            self._note(CheckStep.KEY, StepState.GOOD, "unsaid")
            self._note(CheckStep.CALLBACK, StepState.WARNING, "none")
            return
        self._note(CheckStep.KEY, StepState.GOOD)
        if fault is None:
            self._note(CheckStep.CALLBACK, StepState.GOOD)
        else:
            host = urlsplit(registered).hostname or "?"
            self._note(CheckStep.CALLBACK, StepState.WARNING, "other", address=host[:100])

    def _list_money(self, client: Provider) -> None:
        end = now()
        try:
            page = client.money_page(end - timedelta(minutes=1), end, None)
        except (ProviderAway, ProviderRefusal) as error:
            self._note_failure(CheckStep.MONEY, error)
            return
        self._note(CheckStep.MONEY, StepState.GOOD, count=len(page.money))

    def _compare_clocks(self, client: Provider) -> None:
        offset = client.clock_offset()
        if offset is None:
            self._note(CheckStep.CLOCK, StepState.UNTRIED, "unsaid")
            return
        is_far = abs(offset) > OFFSET_WARNED
        state = StepState.WARNING if is_far else StepState.GOOD
        self._note(
            CheckStep.CLOCK, state, "far" if is_far else "", seconds=round(offset.total_seconds())
        )
