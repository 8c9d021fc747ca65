"""Results of checks, of `flask doctor` and `flask restore --check`, as a table and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NoReturn

import click

State = Literal["ok", "warn", "fail"]
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True)
class CheckResult:
    """The result of one check, in one sentence."""

    name: str
    state: State
    detail: str


def end_with(results: Sequence[CheckResult], *, as_json: bool = False) -> NoReturn:
    """Print the results and end the command: exit status 1 if one of them is a failure."""
    failed = any(result.state == "fail" for result in results)
    if as_json:
        rows = [asdict(result) for result in results]
        click.echo(json.dumps({"ok": not failed, "checks": rows}, ensure_ascii=False, indent=2))
    else:
        width = max(len(result.name) for result in results)
        for result in results:
            state = click.style(f"{result.state:<4}", fg=_COLOURS[result.state])
            click.echo(f"{result.name:<{width}}  {state}  {result.detail}")
    sys.exit(1 if failed else 0)
