"""A Galera cluster of three nodes on loopback, from Debian's mariadb-server and galera-4.

The nodes begin with copies of one data folder, and a killed node recovers its own position, so a
node that joins needs the last transactions of another one, and not all of its data.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar

import pymysql
import sqlalchemy as sa

from tests.support.databases import create_database, drop_database, server_address
from tests.support.parts import MissingPart
from tests.support.ports import free_port
from tests.support.servers import PrivateMariaDB, ServerDidNotStart, answers, find_program
from tests.support.templates import MySQLScript, fill

LIBRARY = Path("/usr/lib/galera/libgalera_smm.so")
NODES = 3
_QUICK_TO_NOTICE = {
    "evs.keepalive_period": "PT0.3S",
    "evs.inactive_check_period": "PT0.3S",
    "evs.suspect_timeout": "PT2S",
    "evs.inactive_timeout": "PT4S",
    "evs.install_timeout": "PT4S",
    "gcache.size": "32M",
}
"""A node that is silent for two seconds is excluded; usual is five."""
_POSITION = re.compile(r"Recovered position: ([0-9a-f-]+:\d+)")


class GaleraNode(PrivateMariaDB):
    """One node; it answers once it has joined the cluster and caught up with it."""

    name: ClassVar[str] = "galera"

    def __init__(self) -> None:
        super().__init__()
        if not LIBRARY.exists() or find_program("rsync") is None:
            raise MissingPart("Galera (apt install galera-4 rsync lsof)")
        self.group_port = free_port()
        self._transfer_port, self._copy_port = free_port(), free_port()
        self._members: list[GaleraNode] = []
        self._is_first = False
        self._position: str | None = None

    def join(self, members: list[GaleraNode]) -> None:
        """Name the nodes of the cluster, this one too."""
        self._members = members

    def start_cluster(self) -> None:
        """Start as the first node of a new cluster."""
        self._is_first = True
        try:
            self.start()
        finally:
            self._is_first = False

    def copy_data(self, stopped: GaleraNode) -> None:
        """Begin with the data of a node that has stopped in good order."""
        shutil.copytree(stopped.data, self.data)
        if self._user is not None:
            for path in (self.data, *self.data.rglob("*")):
                shutil.chown(path, self._user)

    def restart_after_kill(self) -> None:
        """Find the position of the killed node's data, and join from there."""
        log = self.folder / "recovery.err"
        self._run([*self._command(), "--wsrep-recover", f"--log-error={log}"])
        positions = _POSITION.findall(log.read_text("utf-8", "replace"))
        if not positions:
            raise ServerDidNotStart("the killed node has no position")
        self._position = positions[-1]
        self.start()
        self._position = None

    def freeze(self) -> None:
        """Stop the process without ending it, as a machine that is cut off or hangs."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def has_majority(self) -> bool:
        """Whether the node belongs to a majority, without which it refuses other statements."""
        return self._run_alone("SHOW STATUS LIKE 'wsrep_cluster_status'")[0][1] == "Primary"

    def has_caught_up(self, members: int) -> bool:
        """Whether the node belongs to a cluster of so many, and has what the others have."""
        rows = self._run_alone("SHOW STATUS LIKE 'wsrep%'")
        whole = {("wsrep_cluster_size", str(members)), ("wsrep_local_state_comment", "Synced")}
        return whole <= set(rows)

    def declare_majority(self) -> None:
        """Let the node work alone, as an operator does when the others are lost."""
        self._run_alone("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'")

    def _run_alone(self, statement: str) -> tuple[tuple[str, ...], ...]:
        connection = pymysql.connect(host="127.0.0.1", port=self.port, user="root")
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self.process_id, number)

    def _command(self) -> list[str]:
        provider = {
            **_QUICK_TO_NOTICE,
            "gmcast.listen_addr": f"tcp://127.0.0.1:{self.group_port}",
            "ist.recv_addr": f"127.0.0.1:{self._transfer_port}",
        }
        options = ";".join(f"{name}={value}" for name, value in provider.items())
        members = ",".join(f"127.0.0.1:{node.group_port}" for node in self._members)
        command = [
            *super()._command(), "--wsrep-on=ON", f"--wsrep-provider={LIBRARY}",
            "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-cluster-name=balcao",
            f"--wsrep-cluster-address=gcomm://{members}", "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address=127.0.0.1:{self._copy_port}",
            f"--wsrep-node-address=127.0.0.1:{self.group_port}", f"--wsrep-node-name={self.port}",
            f"--wsrep-provider-options={options}", "--innodb-log-file-size=16M",
        ]  # fmt: skip
        if self._is_first:
            command.append("--wsrep-new-cluster")
        if self._position is not None:
            command.append(f"--wsrep-start-position={self._position}")
        return command

    def _answers(self) -> bool:
        # A node refuses queries before it has joined and caught up.
        return answers(sa.make_url(self.url))


class GaleraCluster:
    """Three running nodes with one migrated database, and copies of it."""

    def __init__(self, nodes: list[GaleraNode], name: str) -> None:
        self.nodes = nodes
        self._name = name

    @contextmanager
    def copy(self) -> Iterator[GaleraCluster]:
        """The same nodes with a new migrated database."""
        engine = sa.create_engine(server_address(self.nodes[0].url), isolation_level="AUTOCOMMIT")
        new = create_database(self.nodes[0].url)
        name = sa.make_url(new).database or ""
        with engine.connect() as connection:
            MySQLScript(connection, self._name).run(connection, name)
        engine.dispose()
        yield GaleraCluster(self.nodes, name)
        drop_database(new)

    def is_whole(self) -> bool:
        """Whether all nodes are in the cluster, and each has what the others have."""
        return all(node.has_caught_up(len(self.nodes)) for node in self.nodes)

    def url(self, place: int) -> str:
        """The database at this node alone."""
        address = server_address(self.nodes[place].url).set(database=self._name)
        return address.render_as_string(hide_password=False)

    def list_from(self, place: int) -> str:
        """The address with all nodes, this one first."""
        hosts = [f"127.0.0.1:{node.port}" for node in self.nodes]
        places = ",".join(hosts[place:] + hosts[:place])
        return f"mysql://root@{places}/{self._name}"

    def latest(self, place: int) -> str:
        """The database at this node, for a reader that must see every commit."""
        return f"{self.url(place)}&init_command=SET SESSION wsrep_sync_wait = 7"


@contextmanager
def galera_cluster() -> Iterator[GaleraCluster]:
    """Start three nodes with a migrated database; remove them at the end. Raises MissingPart."""
    with ExitStack() as running:
        nodes: list[GaleraNode] = []
        for _ in range(NODES):
            nodes.append(GaleraNode())
            running.callback(nodes[-1].remove)
        for node in nodes:
            node.join(nodes)
        nodes[0].start_cluster()
        url = create_database(nodes[0].url)
        fill(url)
        nodes[0].stop()
        for node in nodes[1:]:
            node.copy_data(nodes[0])
        nodes[0].start_cluster()
        for node in nodes[1:]:
            node.start()
        yield GaleraCluster(nodes, sa.make_url(url).database or "")
