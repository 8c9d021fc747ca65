"""Connections to MySQL and MariaDB that read results with less work, and commit sooner.

The server describes each column of each result again, and PyMySQL parses each description: for a
wide row that costs more than the statement. The same statement gets the same bytes, so what they
said the last time is reused.

An INSERT that nothing else in its transaction needs is sent together with COMMIT, which saves a
round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pymysql.connections import Connection, MySQLResult
from pymysql.constants import CLIENT, COMMAND, CR
from pymysql.err import OperationalError

DESCRIPTIONS_MAX = 500
_ALIKE_MAX = 8
_NULL, _TWO_BYTES, _THREE_BYTES = 251, 252, 253
_HEADER_BYTES = 4

if TYPE_CHECKING:
    _Connection = Connection[Any]
else:
    _Connection = Connection

_Described = tuple[bytes, Any, Any, Any]
"""The bytes of all descriptions of a result; what PyMySQL keeps of them: fields, converters, and
the description."""


class ReusedDescriptions:
    """The descriptions of results that one process has seen, by their first bytes."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Any, ...], tuple[_Described, ...]] = {}

    def find(self, key: tuple[Any, ...], buffered: bytes) -> _Described | None:
        """The descriptions with which these bytes begin, or None."""
        for described in self._seen.get(key, ()):
            if buffered.startswith(described[0]):
                return described
        return None

    def add(self, key: tuple[Any, ...], described: _Described) -> None:
        """Store descriptions for the next result like this one."""
        alike = self._seen.get(key, ())
        if not alike and len(self._seen) >= DESCRIPTIONS_MAX:
            self._seen.clear()
        self._seen[key] = (described, *alike[: _ALIKE_MAX - 1])


_DESCRIPTIONS = ReusedDescriptions()
_SSL_CONTEXTS: list[Any] = []
"""The context of connections without options of TLS, once it was made."""


class QuickResult(MySQLResult):
    """A result that parses no description twice."""

    fields: list[Any]
    converters: list[tuple[str | None, Any]]

    def _get_descriptions(self) -> None:
        connection: Any = self.connection
        whole: Any = super()
        buffered = _peek(connection)
        first_bytes = _HEADER_BYTES + int.from_bytes(buffered[:3], "little")
        key = (connection.encoding, self.field_count, buffered[:first_bytes])
        described = _DESCRIPTIONS.find(key, buffered)
        if described is None:
            whole._get_descriptions()
            size = _length_of(buffered, self.field_count)
            if size is not None:
                parsed = (self.fields, self.converters, self.description)
                _DESCRIPTIONS.add(key, (buffered[:size], *parsed))
            return
        connection._read_bytes(len(described[0]))
        connection._next_seq_id = (connection._next_seq_id + self.field_count) % 256
        _, self.fields, self.converters, self.description = described
        connection._read_packet()  # the EOF packet behind the descriptions

    def _read_row_from_packet(self, packet: Any) -> tuple[Any, ...]:
        data = packet.get_all_data()
        row: list[Any] = []
        at = 0
        for encoding, converter in self.converters:
            length = data[at]
            at += 1
            if length == _NULL:
                row.append(None)
                continue
            if length > _NULL:
                width = 2 if length == _TWO_BYTES else 3 if length == _THREE_BYTES else 8
                length = int.from_bytes(data[at : at + width], "little")
                at += width
            value = data[at : at + length]
            at += length
            if encoding is not None:
                value = value.decode(encoding)
            row.append(value if converter is None else converter(value))
        return tuple(row)


class DeferredInsert(NamedTuple):
    """An INSERT that is sent together with COMMIT."""

    text: str
    table: str
    on_stored: Callable[[int], object]
    """Called after the COMMIT with the id of the new row."""


class QuickConnection(_Connection):
    """A connection with results of `QuickResult` that sends deferred INSERTs with COMMIT.

    For URLs without a converter of their own.
    """

    may_defer = False
    """Whether INSERTs may be deferred: the server itself must end a command at its first error."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Connect; several statements may be sent at once."""
        self._deferred: list[DeferredInsert] = []
        flags = options.get("client_flag", 0) | CLIENT.MULTI_STATEMENTS
        super().__init__(*args, **{**options, "client_flag": flags})

    def defer_insert(
        self, text: str, values: Mapping[str, Any], table: str, on_stored: Callable[[int], object]
    ) -> None:
        """Let `commit` send this INSERT; `rollback` forgets it. Errors are raised by `commit`."""
        with self.cursor() as cursor:
            whole = cursor.mogrify(text, values)
        self._deferred.append(DeferredInsert(whole, table, on_stored))

    def has_deferred_for(self, statement: str) -> bool:
        """Whether this text contains the name of a table with a deferred INSERT.

        A plain INSERT does not count: it does not read the row.
        """
        if not self._deferred or (statement.startswith("INSERT") and "SELECT" not in statement):
            return False
        return any(insert.table in statement for insert in self._deferred)

    def flush_inserts(self) -> None:
        """Send the deferred INSERTs without COMMIT."""
        while self._deferred:
            insert = self._deferred.pop(0)
            with self.cursor() as cursor:
                cursor.execute(insert.text)
                insert.on_stored(cursor.lastrowid)

    def commit(self) -> None:
        """Commit, together with the deferred INSERTs: if one fails, the server does not commit."""
        pending, self._deferred = self._deferred, []
        texts = [*(insert.text for insert in pending), "COMMIT"]
        own: Any = self
        own._execute_command(COMMAND.COM_QUERY, "; ".join(texts))
        keys = [own._read_ok_packet().insert_id for _ in pending]
        own._read_ok_packet()
        for insert, key in zip(pending, keys, strict=True):
            insert.on_stored(int(key))

    def rollback(self) -> None:
        """Roll back, and forget the deferred INSERTs."""
        self._deferred.clear()
        super().rollback()

    def _create_ssl_ctx(self, sslp: Any) -> Any:
        # Without options PyMySQL tries TLS and checks no certificate, but loads all authorities of
        # the machine for each connection, which takes 19 ms.
        usual: Any = super()
        if sslp:
            return usual._create_ssl_ctx(sslp)
        if not _SSL_CONTEXTS:
            _SSL_CONTEXTS.append(usual._create_ssl_ctx(sslp))
        return _SSL_CONTEXTS[0]

    def _read_query_result(self, unbuffered: bool = False) -> int:
        self._result = None
        result = QuickResult(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return int(result.affected_rows or 0)


def _peek(connection: Any) -> bytes:
    """The bytes that come next, as far as they are buffered; empty at the end of the stream.

    Raises OperationalError and closes the connection, as PyMySQL does when a read fails: half of a
    result has been read, so the connection must not be used again.
    """
    try:
        return bytes(connection._rfile.peek(1))
    except OSError as error:
        connection._force_close()
        lost = f"Lost connection to MySQL server during query ({error})"
        raise OperationalError(CR.CR_SERVER_LOST, lost) from error
    except BaseException:
        connection._force_close()
        raise


def _length_of(buffered: bytes, packets: int) -> int | None:
    """How many bytes so many packets take, or None if not all of them are buffered."""
    at = 0
    for _ in range(packets):
        if at + _HEADER_BYTES > len(buffered):
            return None
        at += _HEADER_BYTES + int.from_bytes(buffered[at : at + 3], "little")
    return at if at <= len(buffered) else None


def quick_connection(pooled: Any) -> QuickConnection | None:
    """The driver's connection behind one of a pool, if it is of this kind."""
    driver = pooled.dbapi_connection
    return driver if isinstance(driver, QuickConnection) else None
