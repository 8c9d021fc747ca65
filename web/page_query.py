"""The query of a list in the API: how many items, and after which cursor."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from web.bodies import check_storable

PAGE_DEFAULT, PAGE_MAX = 20, 100


def _storable(value: str) -> str:
    check_storable(value)
    return value


QueryText = Annotated[
    str,
    Field(max_length=140, json_schema_extra={"pattern": r"^[^\u0000]*$"}),
    AfterValidator(_storable),
]
"""A text without NUL characters, which no database stores."""


class PageQuery(BaseModel):
    """A page of a list; `after` is the `next` of the previous page."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: int = Field(PAGE_DEFAULT, ge=1, le=PAGE_MAX)
    after: QueryText | None = None
