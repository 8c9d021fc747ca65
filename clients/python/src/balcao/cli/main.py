"""`balcao`: reads the arguments and runs one command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from balcao.cli.output import FAILED, INTERRUPTED, RED, CommandFailed, complain, paint, printable
from balcao.version import VERSION

COMMANDS = {
    "listen": "stream events to a local address, signed",
    "trigger": "make an event happen for real, through bank and service",
    "pay": "pay a code at the simulated bank",
    "payments": "list payments, newest first",
    "events": "list events; --follow shows them as they happen",
    "verify": "say what is wrong with a webhook's signature, offline",
    "login": "store the address and an API key",
}
"""Each command is the module of its name, with `add_arguments` and `run`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 failed, 2 wrong arguments, 130 Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        args = _parser(words).parse_args(words)
        if args.command is None:
            _parser([]).print_help()
            return 2
        status: int = import_module(f"balcao.cli.{args.command}").run(args)
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # `balcao events | head`: the reader has all it wanted. Python would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except CommandFailed as failure:
        return _fail(str(failure))
    except Exception as error:
        from balcao.errors import ApiError, BalcaoError

        if not isinstance(error, BalcaoError):
            raise
        if isinstance(error, ApiError):
            return _fail(str(error) + (" Run `balcao login`." if error.status == 401 else ""))
        return _fail(str(error))


def _fail(sentence: str) -> int:
    complain(f"{paint('balcao:', RED)} {printable(sentence)}")
    return FAILED


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the typed command's module is imported, so that each starts quickly."""
    parser = argparse.ArgumentParser(
        prog="balcao",
        description="Balcão from the terminal.",
        epilog="The address and the key come from --url, BALCAO_URL and BALCAO_API_KEY, "
        "or `balcao login`. NO_COLOR turns colours off.",
    )
    parser.add_argument("--version", action="version", version=f"balcao {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    typed_command = next((word for word in words if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        if name == typed_command:
            command.add_argument("--url", help="the address of Balcão, as https://pay.example")
            import_module(f"balcao.cli.{name}").add_arguments(command)
    return parser
