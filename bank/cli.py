"""`flask bank …`: commands that pay over HTTP, and commands on the bank's database."""

from __future__ import annotations

from importlib import import_module

import click

_MODULES = {
    "audit": "bank.database_cli",
    "burst": "bank.workbench.chaos_cli",
    "chaos": "bank.workbench.chaos_cli",
    "pay": "bank.pay_cli",
    "statement": "bank.pay_cli",
    "unlock": "bank.database_cli",
    "verify": "bank.workbench.chaos_cli",
}
"""The module of each command; the command `pay` is its `pay_command`."""


class BankCommands(click.Group):
    """Imports a command's module when somebody types the command, so that each starts quickly."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """The names of all commands."""
        return list(_MODULES)

    def get_command(self, _context: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None if there is none."""
        if cmd_name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(_MODULES[cmd_name]), f"{cmd_name}_command")
        return command


@click.group("bank", cls=BankCommands)
def bank_cli() -> None:
    """Pay codes with the simulated bank."""
