"""A host of the database dies, hangs or is replaced under load: nothing answered is lost.

Three processes take notifications, creations and refunds. A client repeats what was answered 503 or
not at all, as banks and shops do; any other error fails the test.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from core.clock import SystemClock
from tests.db.tables import Tables
from tests.faults.settled import check_settled, count_unannounced
from tests.faults.storm import UNREACHABLE, Storm, Watcher, wait_until
from tests.support.databases import create_database
from tests.support.galera import GaleraCluster
from tests.support.servers import PrivatePostgreSQL, PrivateStandby
from tests.support.service import ServiceProcess
from tests.support.templates import fill
from tests.webhooks.shops import Shop, open_shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

PAYMENTS = 40
SHOPPERS = 2


class SpreadStorm(Storm):
    """A storm whose notifications go to several processes in turn."""

    def __init__(self, services: Sequence[ServiceProcess], payments: Any) -> None:
        super().__init__(services[0], payments)
        self._turns = itertools.cycle(services)

    def _tell(self, payment: dict[str, Any], fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
        return next(self._turns).tell(payment, **fields)


class Shoppers:
    """Shops that create payments all the time, each with an Idempotency-Key.

    Every other shop names an order too; for the others the key alone prevents a second payment.
    """

    def __init__(self, services: Sequence[ServiceProcess]) -> None:
        self._services = services
        self._is_over = threading.Event()
        self.created: list[str] = []
        self.problems: list[tuple[int, bytes]] = []
        self.deferred = 0
        """Answers 503."""
        self._threads = [
            threading.Thread(target=self._create, args=(n,), daemon=True) for n in range(SHOPPERS)
        ]

    def __enter__(self) -> Shoppers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)

    def _create(self, shop: int) -> None:
        for number in itertools.count():
            if self._is_over.is_set():
                return
            order = f"shop-{shop}-{number}"
            for attempt in itertools.count():
                service = self._services[(number + attempt) % len(self._services)]
                fields = {"value": 10} if shop % 2 else {"value": 10, "order_id": order}
                body = json.dumps(fields).encode()
                headers = {"Content-Type": "application/json", "Idempotency-Key": order}
                try:
                    status, answer, _ = service.request("POST", "/payments/pix", body, headers)
                    self.deferred += status == 503
                except UNREACHABLE:
                    status = 503
                if status == 503:
                    time.sleep(0.1)
                    continue
                if status == 201:
                    self.created.append(json.loads(answer)["payment"]["id"])
                else:
                    self.problems.append((status, answer))
                break
            time.sleep(0.05)


def add_webhook(service: ServiceProcess, shop: Shop) -> None:
    """Let the shop hear of the demo merchant's events."""
    body = json.dumps({"url": shop.url}).encode()
    status, answer, _ = service.request(
        "POST", "/webhooks", body, {"Content-Type": "application/json"}
    )
    assert status == 201, answer


def check_created(tables: Tables, shoppers: Shoppers, payments: list[dict[str, Any]]) -> None:
    """Check that each answered creation is stored once, and nothing else beside `payments`.

    Each creation was repeated until it was answered, so a payment that is not among the answers
    was doubled.
    """
    assert shoppers.problems == []
    assert len(shoppers.created) > 10
    stored = {row[0] for row in tables.rows("SELECT txid FROM payments")}
    assert stored == {*shoppers.created, *(payment["id"] for payment in payments)}
    assert len(set(shoppers.created)) == len(shoppers.created)
    doubled = (
        "SELECT order_id FROM payments WHERE order_id IS NOT NULL"
        " GROUP BY order_id HAVING COUNT(*) > 1"
    )
    assert tables.rows(doubled) == []


def check_heard(shop: Shop, storm: Storm) -> None:
    """Wait until the shop heard of every confirmation."""
    txids = {payment["id"] for payment, _ in storm.notices}

    def confirmed() -> set[str]:
        return {
            event["data"]["id"] for event in shop.events if event["type"] == "payment.confirmed"
        }

    wait_until(lambda: confirmed() >= txids, 60, "the shop heard of every confirmation")


@pytest.fixture
def three(serve, redis_url, tmp_path) -> Callable[[Sequence[str]], list[ServiceProcess]]:
    """A function that starts a process for each address of the database."""

    def start(urls: Sequence[str]) -> list[ServiceProcess]:
        return [
            serve(
                DATABASE_URL=url,
                REDIS_URL=redis_url,
                instance=tmp_path / str(n),
                WEBHOOK_ALLOW_PRIVATE=1,
            )
            for n, url in enumerate(urls)
        ]

    return start


@pytest.fixture
def cluster(module_galera: GaleraCluster) -> Iterator[GaleraCluster]:
    """The nodes of this module with a new database; each test leaves all nodes running."""
    with module_galera.copy() as with_new_database:
        yield with_new_database


@pytest.mark.mysql
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_galera_cluster_loses_a_node_and_has_another_one_frozen(cluster: GaleraCluster, three):
    """One node is killed and joins again; one is frozen, is excluded, and catches up."""
    nodes = cluster.nodes
    services = three([cluster.list_from(n) for n in range(len(nodes))])
    tables = Tables(cluster.latest(0))
    with open_shop(SystemClock()) as shop:
        add_webhook(services[0], shop)
        payments = [services[n % 3].create() for n in range(PAYMENTS)]
        with (
            Watcher(services[0], payments[:10], "websocket") as watcher,
            Shoppers(services) as shoppers,
            SpreadStorm(services, payments) as storm,
        ):
            wait_until(partial(storm.has_accepted, 15), 60, "some answers")
            nodes[1].kill()
            before = len(storm.accepted)
            wait_until(partial(storm.has_accepted, before + 15), 60, "answers without the node")
            nodes[1].restart_after_kill()
            nodes[2].freeze()
            before = len(shoppers.created)
            wait_until(lambda: len(shoppers.created) > before + 10, 60, "payments without it")
            time.sleep(4)
            nodes[2].thaw()
            wait_until(storm.is_over, 60, "every notification answered")
            check_settled(tables, storm)
            wait_until(watcher.knows_all, 30, "the watcher knows all")
        check_created(tables, shoppers, payments)
        check_heard(shop, storm)
    wait_until(lambda: count_unannounced(tables) == 0, 30, "every event is announced")
    wait_until(cluster.is_whole, 60, "the frozen node is back")  # it learns that it was excluded
    for number in range(len(nodes)):
        check_settled(Tables(cluster.latest(number)), storm)
    for service in services:
        assert service.get("/readyz")[0] == 200
        assert service.stop() == 0
        assert "Traceback" not in service.log(), service.log()[-4000:]


@pytest.mark.mysql
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_galera_cluster_loses_its_majority_while_transactions_wait_at_commit(
    cluster: GaleraCluster, three
):
    """Two of three nodes are frozen, and later killed, so the third one cannot commit.

    What waits at its COMMIT is answered 503. After the return of the nodes each repetition finds
    what was stored, and nothing is there twice.
    """
    nodes = cluster.nodes
    services = three([cluster.list_from(n) for n in range(len(nodes))])
    payments = [services[n % 3].create() for n in range(PAYMENTS)]

    def has_lost_majority() -> bool:
        return not nodes[0].has_majority()

    with Shoppers(services) as shoppers, SpreadStorm(services, payments) as storm:
        wait_until(partial(storm.has_accepted, 10), 60, "some answers")
        nodes[1].freeze()
        nodes[2].freeze()
        wait_until(has_lost_majority, 30, "the majority is lost")
        answered = len(shoppers.created), len(storm.accepted)
        wait_until(lambda: shoppers.deferred > 0, 30, "creations are answered 503")
        assert (len(shoppers.created), len(storm.accepted)) == answered
        nodes[1].thaw()
        nodes[2].thaw()
        wait_until(lambda: len(shoppers.created) > answered[0] + 5, 60, "the cluster is back")
        nodes[1].kill()
        nodes[2].kill()
        wait_until(has_lost_majority, 30, "the majority is lost again")
        answered = len(shoppers.created), len(storm.accepted)
        deferred = shoppers.deferred
        wait_until(lambda: shoppers.deferred > deferred, 30, "creations are answered 503")
        assert (len(shoppers.created), len(storm.accepted)) == answered
        nodes[0].declare_majority()
        wait_until(lambda: len(shoppers.created) > answered[0] + 5, 60, "one node works alone")
        nodes[1].restart_after_kill()
        nodes[2].restart_after_kill()
        wait_until(storm.is_over, 60, "every notification answered")
    for number in range(len(nodes)):
        tables = Tables(cluster.latest(number))
        check_settled(tables, storm)
        check_created(tables, shoppers, payments)
    for service in services:
        assert service.stop() == 0
        assert "Traceback" not in service.log(), service.log()[-4000:]


@pytest.fixture
def standby(private_server) -> Iterator[tuple[PrivatePostgreSQL, PrivateStandby, str]]:
    """A primary with a migrated database, a standby that it waits for, and the database's name."""
    primary = private_server("postgres")
    url = create_database(primary.url)
    fill(url)
    with PrivateStandby(primary) as follower:
        engine = sa.create_engine(primary.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'"))
            connection.execute(sa.text("SELECT pg_reload_conf()"))
            state = sa.text("SELECT sync_state FROM pg_stat_replication")
            wait_until(lambda: connection.scalar(state) == "quorum", 20, "the standby follows")
        engine.dispose()
        yield primary, follower, str(sa.make_url(url).database)


@pytest.mark.postgres
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_primary_dies_and_its_standby_is_promoted(standby, three):
    """The operator promotes the standby; the service finds it, and has everything it answered."""
    primary, follower, name = standby
    places = f"127.0.0.1:{primary.port},127.0.0.1:{follower.port}"
    services = three([f"postgresql://postgres@{places}/{name}"] * 2)
    tables = Tables(f"postgresql+psycopg://postgres@127.0.0.1:{follower.port}/{name}")
    with open_shop(SystemClock()) as shop:
        add_webhook(services[0], shop)
        payments = [services[n % 2].create() for n in range(PAYMENTS)]
        with (
            Watcher(services[0], payments[:10], "websocket") as watcher,
            Shoppers(services) as shoppers,
            SpreadStorm(services, payments) as storm,
        ):
            wait_until(partial(storm.has_accepted, 15), 60, "some answers")
            primary.kill()
            answered = set(shoppers.created), storm.confirmed()
            follower.promote()
            stored = {row[0] for row in tables.rows("SELECT txid FROM payments")}
            assert answered[0] <= stored
            for txid in answered[1]:
                assert tables.payment(txid).status == "confirmed"
            wait_until(storm.is_over, 60, "every notification answered")
            before = len(shoppers.created)
            wait_until(lambda: len(shoppers.created) > before + 5, 30, "new payments")
            check_settled(tables, storm)
            wait_until(watcher.knows_all, 30, "the watcher knows all")
        check_created(tables, shoppers, payments)
        check_heard(shop, storm)
    for service in services:
        assert service.get("/readyz")[0] == 200
        assert service.stop() == 0
        assert "Traceback" not in service.log(), service.log()[-4000:]
