"""Name the merchant of rows of all merchants: a test half counts with its merchant.

Nobody knows a test half by its login, so what people read names the merchant, and says that it is
about tests.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select, func
from sqlalchemy.orm import aliased

from db_models import Account

Query = TypeVar("Query", bound="Select[*tuple[Any, ...]]")

_OWNER = aliased(Account)
OWNER_LOGIN = func.coalesce(_OWNER.login, Account.login)
"""The login of the merchant, also for its test half."""
OWNER_PUBLIC_ID = func.coalesce(_OWNER.public_id, Account.public_id)
IS_TEST = Account.test_of_id.is_not(None)
IS_NO_TEST_HALF = func.coalesce(Account.test_of_id, 0) == 0
"""As a function of the column, so that no engine leaves the index of the order for the column's."""


def with_owner(query: Query) -> Query:
    """The query, which has joined accounts, with the merchant of each test half."""
    return query.outerjoin(_OWNER, _OWNER.id == Account.test_of_id)
