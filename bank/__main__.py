"""`python -m bank` serves the bank as a process of its own; with arguments it is `flask bank …`."""

from __future__ import annotations

import sys

from bank.serving import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
