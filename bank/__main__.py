"""`python -m bank` serves the simulated bank by itself; with arguments it is `flask bank …`."""

from __future__ import annotations

import sys

from bank.serving import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
