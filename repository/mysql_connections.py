"""Connections to MySQL and MariaDB that read results with less work, and commit sooner.

The server describes each column of each result again, and PyMySQL parses each description: for a
wide row that costs more than the statement. The same statement gets the same bytes, so what they
said the last time is reused.

An INSERT that nothing else in its transaction needs is sent together with COMMIT, which saves a
round trip. So is the UPDATE of one row; a guard behind it ends the command if it matched no row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pymysql.connections import Connection, MySQLResult
from pymysql.constants import CLIENT, COMMAND, CR, ER, FIELD_TYPE
from pymysql.converters import convert_datetime
from pymysql.err import MySQLError, OperationalError

DESCRIPTIONS_MAX = 500
_ALIKE_MAX = 8
_NULL, _TWO_BYTES, _THREE_BYTES = 251, 252, 253
_HEADER_BYTES = 4
_OK, _OK_BYTES = 0, 11
"""The first byte of an answer without rows, and its least size with the header."""

ONE_ROW_GUARD = "SET @balcao_guard = 18446744073709551615 + (ROW_COUNT() <> 1)"
"""Fails with OUT_OF_RANGE unless the statement before it matched one row.

Arithmetic beyond the largest integer is an error in every `sql_mode`. A value for a column might be
only a warning, and the error of a `DO` is forgotten.
"""
OUT_OF_RANGE = 1690

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


class DeferredStatement(NamedTuple):
    """A statement that is sent together with COMMIT."""

    text: str
    table: str
    on_stored: Callable[[int], object] | None
    """Called after the COMMIT with the id of the new row; None for an UPDATE of one row."""

    @property
    def is_change(self) -> bool:
        """Whether it is an UPDATE of one row."""
        return self.on_stored is None

    @property
    def parts(self) -> tuple[str, ...]:
        """The text, and the guard behind it if it is an UPDATE."""
        return (self.text, ONE_ROW_GUARD) if self.is_change else (self.text,)


class QuickCursor:
    """What a single statement needs of a cursor; PyMySQL's own also serves several results."""

    def __init__(self, connection: QuickConnection) -> None:
        self._connection: Any = connection
        self._result: Any = None

    @property
    def rowcount(self) -> int:
        """How many rows an UPDATE matched."""
        return int(self._result.affected_rows)

    @property
    def lastrowid(self) -> int:
        """The id of the row of an INSERT."""
        return int(self._result.insert_id)

    def execute(self, text: str, values: Mapping[str, Any]) -> None:
        """Send a statement; raises the driver's errors."""
        self._connection.query(self._connection.fill(text, values))
        self._result = self._connection._result

    def fetchall(self) -> Sequence[tuple[Any, ...]]:
        """The rows of a SELECT."""
        rows: Sequence[tuple[Any, ...]] = self._result.rows
        return rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first row of a SELECT, or None."""
        rows = self.fetchall()
        return rows[0] if rows else None

    def close(self) -> None:
        """Do nothing: the whole result has been read."""


class QuickConnection(_Connection):
    """A connection with results of `QuickResult` that sends deferred statements with COMMIT.

    For URLs without a converter of their own.
    """

    may_defer = False
    """Whether INSERTs may be deferred: the server itself must end a command at its first error."""
    may_defer_changes = False
    """Whether UPDATEs may be deferred: the server has refused a value by the guard."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Connect; several statements may be sent at once."""
        self._deferred: list[DeferredStatement] = []
        flags = options.get("client_flag", 0) | CLIENT.MULTI_STATEMENTS
        super().__init__(*args, **{**options, "client_flag": flags})
        own: Any = self
        own.encoders = {**own.encoders, datetime: _literal_of}
        own.decoders = {**own.decoders, FIELD_TYPE.DATETIME: _datetime_of}

    def fill(self, text: str, values: Mapping[str, Any]) -> str:
        """The statement with these values, as a cursor sends it."""
        escape = self.escape
        return text % {
            name: _plain_literal(value) or escape(value) for name, value in values.items()
        }

    def defer_insert(
        self, text: str, values: Mapping[str, Any], table: str, on_stored: Callable[[int], object]
    ) -> None:
        """Let `commit` send this INSERT; `rollback` forgets it. Errors are raised by `commit`."""
        self._deferred.append(DeferredStatement(self.fill(text, values), table, on_stored))

    def defer_change(self, text: str, values: Mapping[str, Any], table: str) -> None:
        """Let `commit` send this UPDATE of one row, as `defer_insert` does.

        If it matches no row, `commit` commits nothing and raises OperationalError with the number
        of a record that has changed since it was read (1020).
        """
        self._deferred.append(DeferredStatement(self.fill(text, values), table, None))

    def has_deferred_for(self, statement: str) -> bool:
        """Whether this text contains the name of a table with a deferred statement.

        A plain INSERT reads no row, so it needs no row that is only inserted.
        """
        if not self._deferred:
            return False
        reads = not statement.startswith("INSERT") or "SELECT" in statement
        return any(one.table in statement and (reads or one.is_change) for one in self._deferred)

    def flush_deferred(self) -> None:
        """Send the deferred statements without COMMIT. Raises what `commit` raises."""
        while self._deferred:
            one = self._deferred.pop(0)
            with self.cursor() as cursor:
                matched = cursor.execute(one.text)
                if one.on_stored is not None:
                    one.on_stored(cursor.lastrowid)
                elif matched != 1:
                    raise _changed_since()

    def commit(self) -> None:
        """Commit, together with the deferred statements: if one fails, nothing is committed."""
        pending, self._deferred = self._deferred, []
        texts = [part for one in pending for part in one.parts]
        texts.append("COMMIT")
        own: Any = self
        own._execute_command(COMMAND.COM_QUERY, "; ".join(texts))
        keys: list[int] = []
        try:
            self._read_keys(keys, len(texts))
        except MySQLError as error:
            if texts[len(keys)] is ONE_ROW_GUARD and error.args[:1] == (OUT_OF_RANGE,):
                raise _changed_since() from error
            raise
        stored = iter(keys)
        for one in pending:
            for key in [next(stored) for _ in one.parts]:
                if one.on_stored is not None:
                    one.on_stored(key)

    def _read_keys(self, keys: list[int], most: int) -> None:
        """Read the answers to `most` statements without rows; add the ids of their rows, or 0.

        Raises the error of the first that failed; the server sends no answer after it.
        """
        own: Any = self
        while len(keys) < most:
            keys.append(int(own._read_ok_packet().insert_id))
            more = most - len(keys) - 1  # PyMySQL reads the last one, and the server's status in it
            if more > 0:
                further, size = _keys_in(_peek(own), own._next_seq_id, more)
                own._read_bytes(size)
                own._next_seq_id = (own._next_seq_id + len(further)) % 256
                keys += further

    def rollback(self) -> None:
        """Roll back, and forget the deferred statements."""
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


def _plain_literal(value: object) -> str | None:
    """The literal of a value in which nothing needs an escape, or None; as PyMySQL writes it."""
    kind = type(value)
    if kind is str:
        text = cast(str, value)
        return f"'{text}'" if text.isascii() and text.isalnum() else None
    if value is None:
        return "NULL"
    return str(value) if kind is int else None


def _literal_of(instant: datetime, _encoders: object) -> str:
    """As PyMySQL writes it, with less work; it writes no offset."""
    if instant.tzinfo is not None:
        instant = instant.replace(tzinfo=None)
    return f"'{instant.isoformat(' ')}'"


def _datetime_of(text: str) -> Any:
    """As PyMySQL reads it, with less work: zero dates of MySQL remain text."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return convert_datetime(text)


def _changed_since() -> OperationalError:
    """The error for an UPDATE of one row that matched none."""
    return OperationalError(ER.CHECKREAD, "The record has changed since it was read.")


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


def _keys_in(buffered: bytes, number: int, most: int) -> tuple[list[int], int]:
    """The ids of rows in the answers without rows that these bytes begin with, and their size.

    Ends before an error, a half packet, and one with another number than the next: PyMySQL reads
    those. The first packet has this number.
    """
    keys: list[int] = []
    at = 0
    while len(keys) < most and at + _HEADER_BYTES <= len(buffered):
        end = at + _HEADER_BYTES + int.from_bytes(buffered[at : at + 3], "little")
        is_next = buffered[at + 3] == (number + len(keys)) % 256
        if end > len(buffered) or end - at < _OK_BYTES or not is_next or buffered[at + 4] != _OK:
            break
        _, key_at = _integer_at(buffered, at + _HEADER_BYTES + 1)
        keys.append(_integer_at(buffered, key_at)[0])
        at = end
    return keys, at


def _integer_at(data: bytes, at: int) -> tuple[int, int]:
    """The integer of MySQL's variable length at this place, and where it ends."""
    first = data[at]
    if first < _NULL:
        return first, at + 1
    end = at + 1 + (2 if first == _TWO_BYTES else 3 if first == _THREE_BYTES else 8)
    return int.from_bytes(data[at + 1 : end], "little"), end


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
