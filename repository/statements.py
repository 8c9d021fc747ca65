"""Statements that nearly every request sends: compiled once, and sent by the driver's cursor.

For a short statement SQLAlchemy's own work (the key of its cache, a context, a result object) takes
about as long as the driver's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from sqlalchemy import (
    Column,
    ColumnDefault,
    Connection,
    Dialect,
    Engine,
    Insert,
    PoolProxiedConnection,
    Select,
    Table,
    Update,
    exc,
)

from repository.mysql_connections import QuickConnection, quick_connection

Statement = Select[Any] | Insert | Update
Processor = Callable[[Any], Any] | None
Row = tuple[Any, ...]

COMPILED = "balcao_compiled"
"""The execution option of an engine whose statements may be sent by the cursor: a dict, in which
they are kept once they are compiled."""
_COMPILED_MAX = 1_000


@dataclass(frozen=True)
class Compiled:
    """A statement's text in one dialect."""

    text: str
    constants: Mapping[str, Any]
    """The parameters that the statement itself gives."""
    encoders: Mapping[str, Processor]
    """By parameter: what turns a value into the driver's."""
    order: tuple[str, ...] | None
    """The order of the parameters, for a driver that takes them by position."""
    decoders: tuple[tuple[int, Callable[[Any], Any]], ...]
    """By column: what turns the driver's value into ours, where that is not the same."""

    @classmethod
    def of(cls, statement: Statement, names: tuple[str, ...], dialect: Dialect) -> Compiled:
        """Compile a statement whose values have these names.

        Raises TypeError if a column without a value has a default that must be computed.
        """
        columns: tuple[Any, ...] = ()
        keys: list[str] | None = list(names)
        if isinstance(statement, Insert):
            statement, keys = _with_defaults(statement, names)
            if dialect.name == "postgresql":
                columns = tuple(cast(Table, statement.table).primary_key.columns)
                statement = statement.returning(*columns)
        elif isinstance(statement, Select):
            columns, keys = tuple(statement.selected_columns), None
        compiled: Any = statement.compile(dialect=dialect, column_keys=keys)
        encoders = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bind in compiled.binds.items()
        }
        decoders = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        ]
        return cls(
            str(compiled),
            {
                name: _encoded(encoders[name], value)
                for name, value in compiled.construct_params(_check=False).items()
                if not compiled.binds[name].required and name not in names
            },
            encoders,
            tuple(compiled.positiontup) if compiled.positional else None,
            tuple((at, decode) for at, decode in enumerate(decoders) if decode is not None),
        )

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """The driver's parameters: a dict, or a tuple."""
        encoders = self.encoders
        encoded = {
            name: value if (encode := encoders[name]) is None else encode(value)
            for name, value in values.items()
        }
        encoded |= self.constants
        return encoded if self.order is None else tuple([encoded[name] for name in self.order])

    def decode(self, row: Row) -> Row:
        """The row with our values."""
        if not self.decoders:
            return tuple(row)
        values = list(row)
        for at, decode in self.decoders:
            values[at] = decode(values[at])
        return tuple(values)


class QuickStatement:
    """One statement for all connections.

    The listeners of `before_cursor_execute` and `handle_error` hear of it as of any other, and
    errors are SQLAlchemy's. On SQLite it is sent by SQLAlchemy, which begins the transaction there.
    """

    def __init__(self, statement: Statement) -> None:
        """`statement` may have bound parameters; an INSERT has none, and one key column."""
        self.statement = statement

    def row(self, connection: Connection, values: Mapping[str, Any]) -> Row | None:
        """The first row of a SELECT, or None."""
        rows = self.rows(connection, values)
        return rows[0] if rows else None

    def one(self, connection: Connection, values: Mapping[str, Any]) -> Row:
        """The first row of a SELECT. Raises NoResultFound."""
        row = self.row(connection, values)
        if row is None:
            raise exc.NoResultFound("No row was found.")
        return row

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[Row]:
        """The rows of a SELECT."""
        compiled = self._compiled(connection, values)
        if compiled is None:
            return [tuple(row) for row in connection.execute(self.statement, values)]
        rows: list[Row] = _send(
            connection, compiled.text, compiled.parameters(values), lambda cursor: cursor.fetchall()
        )
        return [compiled.decode(row) for row in rows]

    def row_alone(self, engine: Engine, values: Mapping[str, Any]) -> Row | None:
        """The first row of a SELECT that is all that is read, or None.

        For an engine in autocommit mode whose statements may be sent by the cursor. There is no
        `Connection`, which costs more than the driver does. Raises what `Connection.execute`
        raises.
        """
        compiled = self._compiled(engine, values)
        if compiled is None or engine.dispatch.before_cursor_execute:
            with engine.connect() as connection:
                return self.row(connection, values)
        pooled = _checked_out(engine)
        parameters = compiled.parameters(values)
        cursor = None
        try:
            cursor = pooled.cursor()
            cursor.execute(compiled.text, parameters)
            row = cursor.fetchone()
            cursor.close()
        except BaseException as error:
            if not isinstance(error, engine.dialect.loaded_dbapi.Error):
                pooled.invalidate(error)  # half of an answer may have been read
                raise
            # Only a `Connection` knows what follows: a lost one replaces the whole pool.
            with Connection(engine, pooled) as connection:
                _raise(connection, error, compiled.text, parameters, cursor)
        pooled.close()
        return None if row is None else compiled.decode(row)

    def text_with(self, connection: Connection, values: Mapping[str, Any]) -> str:
        """The statement with these values in it, as PyMySQL sends it."""
        compiled = self._compiled(connection, values)
        driver = quick_connection(connection.connection)
        if compiled is None or driver is None:
            raise TypeError("Only PyMySQL writes values into a statement.")
        with driver.cursor() as cursor:
            return str(cursor.mogrify(compiled.text, compiled.parameters(values)))

    def change(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Send an UPDATE; returns how many rows it matched."""
        compiled = self._compiled(connection, values)
        if compiled is None:
            return int(connection.execute(self.statement, values).rowcount)
        return int(_send(connection, compiled.text, compiled.parameters(values), _rows_changed))

    def defer_change(self, connection: Connection, values: Mapping[str, Any]) -> bool:
        """Let the COMMIT send an UPDATE of one row; returns False if it was sent and matched none.

        Where it is deferred and matches none, the COMMIT stores nothing and raises OperationalError
        (`driver_errors.is_conflict`). A MySQL or MariaDB alone defers it, as for `defer_insert`.
        """
        compiled = self._compiled(connection, values)
        driver = quick_connection(connection.connection)
        if compiled is None or driver is None or not driver.may_defer_changes:
            return self.change(connection, values) == 1
        text, parameters = _call_listeners(
            connection, compiled.text, compiled.parameters(values), None
        )
        driver.defer_change(text, parameters, cast(Table, cast(Update, self.statement).table).name)
        return True

    def insert(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Send an INSERT of one row; returns its key, or the first column of its key."""
        compiled = self._compiled(connection, values)
        if compiled is None:
            key: Any = connection.execute(self.statement, values).inserted_primary_key
            return int(key[0])
        read = _returned if connection.dialect.name == "postgresql" else _new_id
        return int(_send(connection, compiled.text, compiled.parameters(values), read))

    def defer_insert(
        self,
        connection: Connection,
        values: Mapping[str, Any],
        on_stored: Callable[[int], object],
    ) -> None:
        """Store one row by the COMMIT: a MySQL or MariaDB alone gets its INSERT together with it.

        Other servers insert at once. `on_stored` gets what `insert` returns. For a row that nothing
        in the rest of the transaction needs; the COMMIT may raise what `insert` raises.
        """
        compiled = self._compiled(connection, values)
        driver = quick_connection(connection.connection)
        if compiled is None or driver is None or not driver.may_defer:
            on_stored(self.insert(connection, values))
            return
        text, parameters = _call_listeners(
            connection, compiled.text, compiled.parameters(values), None
        )
        table = cast(Table, cast(Insert, self.statement).table).name
        driver.defer_insert(text, parameters, table, on_stored)

    def insert_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Send an INSERT of several rows with values for the same columns; none sends nothing."""
        if not rows:
            return
        compiled = self._compiled(connection, rows[0])
        if compiled is None:
            connection.execute(self.statement, rows)
            return
        parameters = [compiled.parameters(row) for row in rows]
        _send(connection, compiled.text, parameters, _nothing, is_many=True)

    def _compiled(self, bind: Connection | Engine, values: Mapping[str, Any]) -> Compiled | None:
        cache: dict[Any, Compiled] | None = bind.get_execution_options().get(COMPILED)
        if cache is None:
            return None
        names = tuple(values)
        compiled = cache.get((self, names))
        if compiled is None:
            if len(cache) >= _COMPILED_MAX:
                cache.clear()
            compiled = Compiled.of(self.statement, names, bind.dialect)
            cache[self, names] = compiled
        return compiled


def flush_deferred(connection: Connection) -> None:
    """Send the deferred statements now. Raises what `Connection.execute` raises."""
    _ask_driver(connection, QuickConnection.flush_deferred)


def check_guards(connection: Connection) -> None:
    """Send the guards of the COMMIT now. Raises what `Connection.execute` raises."""
    _ask_driver(connection, QuickConnection.check_guards)


def _ask_driver(connection: Connection, act: Callable[[QuickConnection], object]) -> None:
    driver = quick_connection(connection.connection)
    if driver is not None:
        try:
            act(driver)
        except BaseException as error:
            _raise(connection, error, "", None, None)


def _send(
    connection: Connection,
    text: str,
    parameters: Any,
    read: Callable[[Any], Any],
    *,
    is_many: bool = False,
) -> Any:
    """Send a statement, once for each of the parameters if `is_many`; returns what `read` reads.

    Raises what `Connection.execute` raises.
    """
    cursor = connection.connection.cursor()
    text, parameters = _call_listeners(connection, text, parameters, cursor, is_many)
    try:
        (cursor.executemany if is_many else cursor.execute)(text, parameters)
        result = read(cursor)
    except BaseException as error:
        _raise(connection, error, text, parameters, cursor)
    cursor.close()
    return result


def _call_listeners(
    connection: Connection, text: str, parameters: Any, cursor: Any, is_many: bool = False
) -> tuple[str, Any]:
    """Call the listeners of `before_cursor_execute`; return the text and parameters they want."""
    for listener in connection.engine.dispatch.before_cursor_execute:
        text, parameters = listener(connection, cursor, text, parameters, None, is_many)
    return text, parameters


def _checked_out(engine: Engine) -> PoolProxiedConnection:
    """A connection of the pool. Raises what `Engine.connect` raises."""
    try:
        return engine.raw_connection()
    except engine.dialect.loaded_dbapi.Error as error:
        Connection._handle_dbapi_exception_noconnection(error, engine.dialect, engine)


def _raise(
    connection: Connection, error: BaseException, text: str, parameters: Any, cursor: Any
) -> NoReturn:
    """Raise what `Connection.execute` raises for this error, after the same work."""
    # With its text SQLAlchemy would turn errors of the system into errors of the driver.
    is_drivers = isinstance(error, connection.dialect.loaded_dbapi.Error)
    connection._handle_dbapi_exception(
        error, text if is_drivers else None, parameters, cursor, None
    )


def clear_column(connection: Connection, column: Column[Any], row_ids: Sequence[int]) -> None:
    """Set a column of the rows with these ids to NULL.

    SQLAlchemy would make a parameter of each id, which costs more than the rest of the statement.
    """
    if not row_ids:
        return
    numbers = ", ".join([str(int(row_id)) for row_id in row_ids])
    text = f"UPDATE {column.table.name} SET {column.name} = NULL WHERE id IN ({numbers})"  # noqa: S608
    connection.exec_driver_sql(text)


def _nothing(_cursor: Any) -> None:
    return None


def _rows_changed(cursor: Any) -> Any:
    return cursor.rowcount


def _new_id(cursor: Any) -> Any:
    return cursor.lastrowid


def _returned(cursor: Any) -> Any:
    return cursor.fetchone()[0]


def _with_defaults(statement: Insert, names: tuple[str, ...]) -> tuple[Insert, list[str]]:
    """The statement with the defaults of the columns without a value, and all columns' keys."""
    defaults = {}
    for column in statement.table.c:
        if column.default is None or column.key in names:
            continue
        if not column.default.is_scalar:
            raise TypeError(f"{column} has a default that is computed for each row.")
        defaults[column.key] = cast(ColumnDefault, column.default).arg
    return (statement.values(defaults) if defaults else statement), [*names, *defaults]


def _encoded(encode: Processor, value: Any) -> Any:
    return value if encode is None else encode(value)
