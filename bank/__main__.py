"""`python -m bank` serves the bank as a process of its own; with arguments it is `flask bank …`.

`flask bank` imports the whole service first, which takes a second; this imports only the command.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if len(sys.argv) > 1:
        from bank.cli import bank_cli

        bank_cli.main(prog_name="python -m bank")
    from bank.serving import main

    sys.exit(main())
