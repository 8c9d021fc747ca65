"""`python -m balcao` is the command `balcao`."""

from balcao.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
