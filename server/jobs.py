"""Background jobs of a process: sweep, relay, reconciliation, orders to banks, cleaning.

With ROLE=web, a process runs only the jobs of `JOBS_OF_EACH_PROCESS`, and another one the rest.
`main()` starts it, never `create_app`: a command or a test must not sweep.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import structlog
from flask import Flask
from flask_apscheduler import APScheduler

from accounts.keys import key_uses
from accounts.oauth_clients import oauth_client_uses
from accounts.refusals import forget_old_refusals, refusal_notes
from accounts.sign_ins import forget_old_records
from blueprints.pix_api import batch_work
from blueprints.recovery.proofs import forget_old_proofs
from config import Settings, parts_of
from core.clock import SystemClock
from core.errors import BalcaoError
from core.runtime.scheduler import SteadyScheduler
from core.runtime.smtp_url import parse_smtp_url
from mail.sender import Sender, forget_old_mails
from payments import refunds, robot
from payments.at_bank import closing
from payments.at_bank import jobs as provider_charges
from payments.at_bank.watching import MoneyWatch
from payments.privacy import PayerDataEraser
from payments.reconciliation import Reconciler
from payments.recurring import charge_job, offers, order_sender, requests
from payments.signals import scan
from payments.sweep import Sweep
from payments.test_data import OldDataDeletion
from providers import certificate_notices
from providers.accounts import signing_banks
from repository.database import ledger, now
from server.roles import JOBS_OF_EACH_PROCESS
from web.idempotency import forget_old_keys
from web.limits import forget_counts
from webhooks.measures import measure_backlog
from webhooks.pruning import forget_old_deliveries

log = structlog.get_logger()

RELAY_INTERVAL_SECONDS = 1
REFUNDS_INTERVAL_SECONDS = 1
PAYER_ORDERS_INTERVAL_SECONDS = 1
RECURRING_CHARGES_INTERVAL_SECONDS = 5
OFFERS_INTERVAL_SECONDS = 30
ROBOT_INTERVAL_SECONDS = 1
BATCHES_INTERVAL_SECONDS = 1
PROVIDER_CHARGES_INTERVAL_SECONDS = 1
PROVIDER_MONEY_INTERVAL_SECONDS = 1
PROVIDER_CLOSINGS_INTERVAL_SECONDS = 5
PROVIDER_CHARGES_STOP_SECONDS = 2.0
"""How long a process that stops waits for banks; their calls are made again after the lease."""
MAIL_INTERVAL_SECONDS = 2
FORGET_INTERVAL_SECONDS = 3600
KEY_USES_INTERVAL_SECONDS = 30
REFUSALS_INTERVAL_SECONDS = 5
SIGNALS_INTERVAL_SECONDS = 15
WEBHOOK_GAUGES_INTERVAL_SECONDS = 5
CERTIFICATES_INTERVAL_SECONDS = 3600
PROVIDER_GAUGES_INTERVAL_SECONDS = 30


class Jobs:
    """The scheduler of one process."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        """Declare the jobs; `start` runs them."""
        self._app = app
        self._role = settings.role
        self._stopping = threading.Event()
        # APScheduler warns of each late tick; coalesced ticks lose nothing here.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        app.config["SCHEDULER_API_ENABLED"] = False  # the API would let anyone add jobs
        app.config["SCHEDULER_TIMEZONE"] = "UTC"
        app.config["SCHEDULER_JOB_DEFAULTS"] = {
            "coalesce": True,
            "max_instances": 1,
            "misfire_grace_time": 30,
        }
        self._scheduler = APScheduler(SteadyScheduler(self._survive_jump))
        self._scheduler.init_app(app)
        announcer = parts_of(app).announcer
        self._money_watch = MoneyWatch(app, self._keep_going)
        with app.app_context():
            grace = timedelta(seconds=settings.sweep_start_grace_seconds)
            self._sweep = Sweep.starting_at(now(), grace)
        self._add(
            "sweep", settings.sweep_interval_seconds, lambda: self._sweep.run(self._keep_going)
        )
        self._add(
            "request-expiries",
            settings.sweep_interval_seconds,
            lambda: requests.expire_due(self._keep_going),
        )
        self._add("flush", RELAY_INTERVAL_SECONDS, announcer.flush)
        self._add("relay", RELAY_INTERVAL_SECONDS, lambda: announcer.relay(self._keep_going))
        self._add("forget-keys", FORGET_INTERVAL_SECONDS, forget_old_keys)
        self._add("key-uses", KEY_USES_INTERVAL_SECONDS, lambda: key_uses().write())
        self._add("client-uses", KEY_USES_INTERVAL_SECONDS, lambda: oauth_client_uses().write())
        self._add("refusals", REFUSALS_INTERVAL_SECONDS, lambda: refusal_notes().write())
        self._add(
            "forget-refusals",
            FORGET_INTERVAL_SECONDS,
            lambda: forget_old_refusals(self._keep_going),
        )
        self._add("forget-people", FORGET_INTERVAL_SECONDS, lambda: forget_old_records(settings))
        self._add("forget-proofs", FORGET_INTERVAL_SECONDS, lambda: forget_old_proofs(settings))
        eraser = PayerDataEraser(settings)
        self._add("forget-payers", FORGET_INTERVAL_SECONDS, lambda: eraser.run(self._keep_going))
        self._add(
            "forget-deliveries",
            FORGET_INTERVAL_SECONDS,
            lambda: forget_old_deliveries(settings, self._keep_going),
        )
        self._add("webhook-gauges", WEBHOOK_GAUGES_INTERVAL_SECONDS, measure_backlog)
        self._add("certificates", CERTIFICATES_INTERVAL_SECONDS, certificate_notices.warn)
        self._add("provider-gauges", PROVIDER_GAUGES_INTERVAL_SECONDS, certificate_notices.measure)
        self._add("batches", BATCHES_INTERVAL_SECONDS, lambda: batch_work.run(self._keep_going))
        self._add(
            "recurring-charges",
            RECURRING_CHARGES_INTERVAL_SECONDS,
            lambda: charge_job.run(self._keep_going),
        )
        if self._role != "web":
            work_soon = partial(batch_work.work_soon, app, self._keep_going)
            parts_of(app).batch_listeners.append(work_soon)
        self._add("offers", OFFERS_INTERVAL_SECONDS, lambda: offers.run(self._keep_going))
        self._add("signals", SIGNALS_INTERVAL_SECONDS, lambda: scan(settings))
        self._add_deletion(settings)
        self._add_mail(settings)
        self._add_provider_jobs()
        self._add_reconciliation(settings)

    def start(self) -> None:
        """Run the jobs of this process's role from now on."""
        self._scheduler.start()
        if self._role == "web":
            return
        parts = parts_of(self._app)
        parts.webhooks.worker.start()
        if self._role == "worker":  # events of the processes that serve, without waiting for a poll
            parts.announcer.listeners.append(lambda _event: parts.webhooks.worker.wake_numbering())
            with self._app.app_context():
                parts.announcer.listen()

    def stop(self) -> None:
        """Begin no new batch, let running batches end, and write what is still in memory."""
        self._stopping.set()
        self._scheduler.shutdown(wait=False)
        parts_of(self._app).webhooks.worker.stop()
        parts_of(self._app).charge_calls.stop(PROVIDER_CHARGES_STOP_SECONDS)
        self._money_watch.join(PROVIDER_CHARGES_STOP_SECONDS)
        parts_of(self._app).charge_calls.leases.stop()
        with self._app.app_context():
            parts_of(self._app).announcer.flush()
            with suppress(BalcaoError):  # a lost key use must not delay the stop
                key_uses().write()
            with suppress(BalcaoError):
                oauth_client_uses().write()
            with suppress(BalcaoError):
                refusal_notes().write()

    def _keep_going(self) -> bool:
        return not self._stopping.is_set()

    def _survive_jump(self, seconds: float) -> None:
        """Move what is in memory by the jump of the wall clock, and forget counted requests."""
        log.warning("clock.jumped", seconds=round(seconds, 1))
        jump = timedelta(seconds=seconds)
        with self._app.app_context():
            self._sweep.move(jump)
            ledger().move(jump)
            if seconds < 0:
                forget_counts()

    def _add_provider_jobs(self) -> None:
        """Go on with charges at real banks."""
        self._add(
            "provider-charges",
            PROVIDER_CHARGES_INTERVAL_SECONDS,
            lambda: provider_charges.run(self._keep_going),
        )
        self._add(
            "provider-closings",
            PROVIDER_CLOSINGS_INTERVAL_SECONDS,
            lambda: closing.plan_closings(self._keep_going),
        )
        self._add(
            "provider-money", PROVIDER_MONEY_INTERVAL_SECONDS, self._money_watch.run, at_once=True
        )

    def _add_deletion(self, settings: Settings) -> None:
        """Delete old data of test halves, which only production has."""
        if settings.is_live:
            run = OldDataDeletion(settings).run
            self._add("delete-test-data", FORGET_INTERVAL_SECONDS, lambda: run(self._keep_going))

    def _add_mail(self, settings: Settings) -> None:
        if settings.smtp_url is None:
            return
        sender = Sender(settings, parse_smtp_url(settings.smtp_url))
        self._add("mail", MAIL_INTERVAL_SECONDS, lambda: sender.run(self._keep_going))
        self._add("forget-mail", FORGET_INTERVAL_SECONDS, forget_old_mails)

    def _add_reconciliation(self, settings: Settings) -> None:
        """Ask the banks at once, before the sweep's grace ends, and then at each interval."""
        with self._app.app_context():
            banks = signing_banks()
        if settings.is_live and not settings.asks_bank:
            log.warning("reconciliation.off", reason="BANK_URL is not set: no bank to ask")
        if not banks:
            return
        self._add("refunds", REFUNDS_INTERVAL_SECONDS, lambda: refunds.run(self._keep_going))
        self._add(
            "payer-orders",
            PAYER_ORDERS_INTERVAL_SECONDS,
            lambda: order_sender.run(self._keep_going),
        )
        if settings.bank_to_ask(is_test_half=True) is not None:
            self._add("robot", ROBOT_INTERVAL_SECONDS, lambda: robot.run(self._keep_going))
            if self._role != "web":
                parts_of(self._app).robot_listeners.append(partial(robot.send_soon, self._app))
        interval = timedelta(seconds=settings.reconcile_interval_seconds)
        for bank in banks:
            self._add(
                "reconcile-test" if bank.is_test else "reconcile",
                settings.reconcile_interval_seconds,
                partial(Reconciler(bank, interval).run, self._keep_going),
                at_once=True,
            )

    def _add(
        self, name: str, seconds: float, work: Callable[[], object], *, at_once: bool = False
    ) -> None:
        if self._role == "web" and name not in JOBS_OF_EACH_PROCESS:
            return
        runs = parts_of(self._app).metrics.job_runs.labels(name)

        def run() -> None:
            if self._stopping.is_set():
                return
            with self._app.app_context():
                runs.inc()
                try:
                    work()
                except BalcaoError as error:
                    log.warning("job.postponed", job=name, code=error.code)
                except Exception:
                    log.exception("job.failed", job=name)

        # The scheduler plans by the machine's clock, also if CLOCK_FILE moves that of the service.
        first = {"next_run_time": SystemClock().now()} if at_once else {}
        self._scheduler.add_job(id=name, func=run, trigger="interval", seconds=seconds, **first)
