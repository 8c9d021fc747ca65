"""Connections to MySQL and MariaDB that read results with less work, and commit sooner.

The server describes each column of each result again, and PyMySQL parses each description: for a
wide row that costs more than the statement. The same statement gets the same bytes, so what they
said the last time is reused.

An INSERT that nothing else in its transaction needs is sent together with COMMIT, which saves a
round trip. So is the UPDATE of one row; a guard behind it ends the command if it matched no row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pymysql.connections import Connection, MySQLResult
from pymysql.constants import CLIENT, COMMAND, CR, ER, SERVER_STATUS
from pymysql.converters import convert_datetime
from pymysql.err import MySQLError, OperationalError

DESCRIPTIONS_MAX = 500
_ALIKE_MAX = 8
_NULL, _TWO_BYTES, _THREE_BYTES = 251, 252, 253
_HEADER_BYTES = 4
_ESCAPES = (
    ("\\", "\\\\"),  # first: the others write backslashes
    ("\0", "\\0"),
    ("\n", "\\n"),
    ("\r", "\\r"),
    ("\x1a", "\\Z"),
    ('"', '\\"'),
    ("'", "\\'"),
)

ONE_ROW_GUARD = "SET @balcao_guard = 18446744073709551615 + (ROW_COUNT() <> 1)"
"""Fails with OUT_OF_RANGE unless the statement before it matched one row.

Arithmetic beyond the largest integer is an error in every `sql_mode`. A value for a column might be
only a warning, and the error of a `DO` is forgotten.
"""
OUT_OF_RANGE = 1690
_ANSWER_GUARD = "SELECT 18446744073709551615 + IF(({}) <=> '{}', 0, 1) INTO @balcao_guard"

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
            self.converters = [
                (encoding, _read_datetime if converter is convert_datetime else converter)
                for encoding, converter in self.converters
            ]
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
    is_change: bool
    """Whether it is an UPDATE of one row."""
    on_stored: Callable[[int], object]
    """Called after the COMMIT with the id of the new row; after an UPDATE with 0."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The text, and the guard behind it if it is an UPDATE."""
        return (self.text, ONE_ROW_GUARD) if self.is_change else (self.text,)


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
        self._guards: list[str] = []
        self._is_broken = False
        """Whether a deferred statement failed: nothing may be committed before a rollback."""
        flags = options.get("client_flag", 0) | CLIENT.MULTI_STATEMENTS
        super().__init__(*args, **{**options, "client_flag": flags})

    def escape(self, obj: Any, mapping: Any = None) -> str:
        """The literal of a value; the usual types without a detour over converters."""
        if obj is None:
            return "NULL"
        kind = type(obj)
        if kind is str:
            return f"'{self._escape_string(obj)}'"
        if kind is int:
            return str(obj)
        if kind is datetime and obj.tzinfo is None:
            return f"'{obj.isoformat(' ')}'"
        literal: str = super().escape(obj, mapping)
        return literal

    def _escape_string(self, s: str) -> str:
        # The same text as PyMySQL writes, which looks each character up.
        if self.server_status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES:
            return str.replace(s, "'", "''")
        for character, escaped in _ESCAPES:
            s = str.replace(s, character, escaped)  # a subclass may replace otherwise
        return s

    def defer_insert(
        self, text: str, values: Mapping[str, Any], table: str, on_stored: Callable[[int], object]
    ) -> None:
        """Let `commit` send this INSERT; `rollback` forgets it. Errors are raised by `commit`."""
        self._defer(text, values, table, False, on_stored)

    def defer_change(self, text: str, values: Mapping[str, Any], table: str) -> None:
        """Let `commit` send this UPDATE of one row, as `defer_insert` does.

        If it matches no row, `commit` commits nothing and raises OperationalError with the number
        of a record that has changed since it was read (1020).
        """
        self._defer(text, values, table, True, lambda _key: None)

    def _defer(
        self,
        text: str,
        values: Mapping[str, Any],
        table: str,
        is_change: bool,
        on_stored: Callable[[int], object],
    ) -> None:
        whole = text % {name: self.escape(value) for name, value in values.items()}
        self._deferred.append(DeferredStatement(whole, table, is_change, on_stored))

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
        pending, self._deferred = self._deferred, []
        try:
            for one in pending:
                with self.cursor() as cursor:
                    matched = cursor.execute(one.text)
                    if one.is_change and matched != 1:
                        raise _changed_since()
                    one.on_stored(cursor.lastrowid)
        except BaseException:
            self._is_broken = True
            raise

    def guard_commit(self, guard: str) -> None:
        """Let `commit` send this guard, whatever is flushed before; `rollback` forgets it.

        If it refuses, `commit` commits nothing and raises what it raises after `defer_change`.
        """
        self._guards.append(guard)

    def check_guards(self) -> None:
        """Send the guards of the COMMIT now; without any, nothing would be verified.

        Raises what `commit` raises.
        """
        if not self._guards:
            raise _changed_since()
        for guard in self._guards:
            try:
                with self.cursor() as cursor:
                    cursor.execute(guard)
            except MySQLError as error:
                raise self._error_of_commit(error, guard) from error

    def forget_deferred(self) -> None:
        """Send none of the deferred statements."""
        self._deferred.clear()

    def commit(self) -> None:
        """Commit, together with the deferred statements: if one fails, nothing is committed.

        Neither is anything by a later `commit`, before a `rollback`.
        """
        pending, self._deferred = self._deferred, []
        if self._is_broken:
            raise _changed_since()
        texts = [part for one in pending for part in one.parts]
        texts += [*self._guards, "COMMIT"]
        own: Any = self
        keys: list[int] = []
        try:
            own._execute_command(COMMAND.COM_QUERY, "; ".join(texts))
            for _ in texts[:-1]:
                keys.append(_key_in(own._read_packet()))
            own._read_ok_packet()
        except MySQLError as error:
            raise self._error_of_commit(error, texts[len(keys)]) from error
        except BaseException:
            self._is_broken = True
            raise
        self._guards.clear()
        stored = iter(keys)
        for one in pending:
            key, *_ = [next(stored) for _ in one.parts]
            one.on_stored(key)

    def _error_of_commit(self, error: MySQLError, text: str) -> MySQLError:
        """What `commit` raises for an error of the statement with this text."""
        self._is_broken = True
        is_guard = text is ONE_ROW_GUARD or text in self._guards
        if is_guard and error.args[:1] == (OUT_OF_RANGE,):
            return _changed_since()
        if not self.open and not isinstance(error, OperationalError):
            # PyMySQL could not follow the answers: an interrupted command may end without one, and
            # the server then reports something else (decision 0100).
            return OperationalError(CR.CR_SERVER_LOST, f"Lost connection to MySQL server ({error})")
        return error

    def rollback(self) -> None:
        """Roll back, and forget the deferred statements and the guards."""
        self.forget_deferred()
        self._guards.clear()
        super().rollback()
        self._is_broken = False

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


def _read_datetime(text: str) -> object:
    """What PyMySQL reads, whose search by a pattern takes twenty times as long."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # such as 0000-00-00, which PyMySQL leaves as it is
        return convert_datetime(text)


def _key_in(packet: Any) -> int:
    """The id of the new row in the answer to an INSERT; PyMySQL would parse the rest of it too.

    Raises OperationalError if the packet is not OK.
    """
    if not packet.is_ok_packet():
        raise OperationalError(CR.CR_COMMANDS_OUT_OF_SYNC, "Command Out of Sync")
    packet.advance(1)
    packet.read_length_encoded_integer()  # how many rows were changed
    return int(packet.read_length_encoded_integer())


def answer_guard(question: str, answer: str) -> str:
    """A guard that refuses unless this SELECT of one value gives this answer, of hex digits, now.

    At READ COMMITTED it reads what is committed when it begins, and locks nothing: with `SET`
    instead of `INTO` MariaDB locks the rows.
    """
    return _ANSWER_GUARD.format(question, answer)


def _changed_since() -> OperationalError:
    """The error for an UPDATE of one row that matched none, and for an answer that has changed."""
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
