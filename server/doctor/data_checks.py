"""The checks of database, schema, Redis, jobs and certificates of banks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import redis

from config import Settings, current_parts
from core.clock import SystemClock
from providers.certificate_notices import WARNED_DAYS, days_left, needing_certificates
from repository.database import reading
from repository.schema_support import oldest_codes_of_service
from repository.server_facts import DURABLE, ServerFacts, read_facts
from server import schema
from server.check_results import CheckResult
from web.health import lag_allowed

CLOCK_WARNED, CLOCK_FAILED = timedelta(seconds=2), timedelta(seconds=30)
"""30 seconds is what a bank and the leases allow; NTP keeps clocks within milliseconds."""
REDIS_SLOW_MS = 20.0


def check_database(settings: Settings) -> Iterator[CheckResult]:
    """Version, letters, isolation, durability, number of connections, and clock."""
    facts = read_facts()
    faults = []
    if facts.isolation != "READ COMMITTED":
        faults.append(f"it isolates by {facts.isolation}, not READ COMMITTED")
    if facts.charset.lower().replace("-", "") not in ("utf8mb4", "utf8"):
        faults.append(f"its letters are {facts.charset}, not UTF-8")
    if faults:
        yield CheckResult("database", "fail", f"{facts.version}: {', and '.join(faults)}.")
    else:
        yield CheckResult("database", "ok", f"{facts.version} answers.")
    risky = [
        f"{name} is {value}, not {DURABLE[name][0]}"
        for name, value in facts.durability.items()
        if value.lower() not in DURABLE[name]
    ]
    if risky:
        detail = f"A power cut may lose confirmed payments: {', and '.join(risky)}."
        yield CheckResult("durability", "warn", detail)
    else:
        yield CheckResult("durability", "ok", "Confirmed payments survive a power cut.")
    if facts.connections_max is not None:
        # Two pools, one for changes and one for reads.
        yield _connections(facts.connections_max, 2 * settings.database_pool_size)
    yield from _clock(facts)


def _connections(most: int, of_process: int) -> CheckResult:
    detail = f"One process opens up to {of_process} of the {most} connections of the database."
    if of_process > most:
        return CheckResult("connections", "fail", f"{detail} Raise max_connections.")
    if 2 * of_process > most:
        detail += " Raise max_connections before you start a second process."
        return CheckResult("connections", "warn", detail)
    return CheckResult("connections", "ok", detail)


def _clock(facts: ServerFacts) -> Iterator[CheckResult]:
    if facts.now is not None:
        yield judge_clock("clock of database", SystemClock().now() - facts.now)


def judge_clock(name: str, difference: timedelta) -> CheckResult:
    """Judge how far this machine's clock is ahead of another one."""
    seconds = abs(difference.total_seconds())
    if abs(difference) <= CLOCK_WARNED:
        return CheckResult(name, "ok", f"It differs from this clock by {seconds:.1f} s.")
    direction = "behind" if difference > timedelta(0) else "ahead"
    detail = f"It is {seconds:.0f} s {direction} of this clock: set both by NTP."
    return CheckResult(name, "fail" if abs(difference) > CLOCK_FAILED else "warn", detail)


def check_schema(_settings: Settings) -> Iterator[CheckResult]:
    """Whether the code works with the tables."""
    revision, newest = schema.revision_of_database(), schema.newest_revision()
    if revision == newest:
        yield CheckResult("schema", "ok", f"Revision {revision} is the code's.")
    elif revision is None:
        yield CheckResult("schema", "fail", "The database is empty: run `flask db upgrade`.")
    elif not schema.works_with(revision, oldest_codes_of_service()):
        detail = f"Revision {revision} is newer than this code ({newest}): install the newer one."
        yield CheckResult("schema", "fail", detail)
    elif schema.is_older(revision):
        detail = f"Revision {revision} is older than this code ({newest}): run `flask db upgrade`."
        yield CheckResult("schema", "fail", detail)
    else:
        detail = f"Revision {revision} is newer than this code ({newest}) and supports it."
        yield CheckResult("schema", "warn", f"{detail} Finish the upgrade.")


def check_redis(_settings: Settings) -> Iterator[CheckResult]:
    """Whether Redis answers, how quickly, and whether it would forget keys."""
    connection = current_parts().redis
    if connection is None:
        detail = "REDIS_URL is not set: one process alone can serve."
        yield CheckResult("Redis", "ok", detail)
        return
    try:
        begun = time.monotonic()
        connection.ping()
        milliseconds = (time.monotonic() - begun) * 1000
        version = str(connection.info("server").get("redis_version"))
        policy = str(connection.info("memory").get("maxmemory_policy"))
    except (redis.RedisError, OSError) as error:
        detail = f"It does not answer ({type(error).__name__}): pages poll until it does."
        yield CheckResult("Redis", "fail", detail)
        return
    detail = f"Redis {version} answers within {milliseconds:.0f} ms"
    if policy.startswith("allkeys"):
        detail += f", but maxmemory-policy {policy} may drop counts of limits: use volatile-ttl."
        yield CheckResult("Redis", "warn", detail)
    elif milliseconds > REDIS_SLOW_MS:
        yield CheckResult("Redis", "warn", f"{detail}: put it nearer to the service.")
    else:
        yield CheckResult("Redis", "ok", f"{detail}.")


def check_jobs(settings: Settings) -> Iterator[CheckResult]:
    """Whether a process runs the jobs: overdue payments are expired within seconds."""
    with reading() as work:
        oldest = work.payments.oldest_due(work.now)
        lag = work.now - oldest if oldest else timedelta(0)
    if lag > lag_allowed(settings):
        detail = f"The sweep is {lag.total_seconds():.0f} s behind: no process runs the jobs."
        yield CheckResult("jobs", "fail", detail)
    else:
        yield CheckResult("jobs", "ok", "No payment waits for the sweep.")


def check_bank_certificates(_settings: Settings) -> Iterator[CheckResult]:
    """How long the client certificates of accounts at banks are valid."""
    with reading() as work:
        accounts = needing_certificates(work, work.provider_accounts.all())
        at = work.now
    dated = [(one.public_id, one.certificate_ends_at) for one in accounts]
    for public_id, ends_at in dated:
        if ends_at is not None:
            yield judge_end(f"certificate {public_id}", days_left(ends_at, at))
    if not accounts:
        yield CheckResult("bank certificates", "ok", "There is no account at a real bank.")


def judge_end(name: str, days: int) -> CheckResult:
    """Judge how many days a certificate is still valid."""
    if days < 0:
        return CheckResult(name, "fail", "The certificate has ended: renew it now.")
    if days < WARNED_DAYS[0]:
        return CheckResult(name, "warn", f"The certificate ends in {days} days: renew it.")
    return CheckResult(name, "ok", f"The certificate is valid for {days} days.")
