"""Whether workers could start with the settings and the code as they are now.

gunicorn's master runs this module as a process of its own before a reload (see `gunicorn_master`),
with gunicorn's own arguments, so that it reads the same options. On the standard input it gets the
addresses that are open already, as JSON. It changes nothing: a schema that development would
migrate is left alone.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

from gunicorn.app.wsgiapp import WSGIApplication


def main() -> int:
    """Print what is wrong as one sentence on the standard output; return the exit status.

    Everything else, such as a traceback, goes to the standard error.
    """
    open_addresses = json.load(sys.stdin)
    sentence = ""
    with redirect_stdout(sys.stderr):
        # Ends this process, with its own words, if gunicorn refuses an option.
        options = WSGIApplication(prog="gunicorn").cfg
        from config import ConfigurationError  # with the path that gunicorn.conf.py sets

        try:
            _check(options, open_addresses)
        except ConfigurationError as error:
            sentence = str(error)
    sys.stdout.write(sentence)
    return 1 if sentence else 0


def _check(options: Any, open_addresses: list[Any]) -> None:
    """Raise ConfigurationError for what a worker or its master would not start with."""
    from server import serving

    service = import_module(options.wsgi_app.partition(":")[0])
    service.check_start(options.workers, len(options.address))
    for address in options.address:
        if isinstance(address, tuple) and list(address) not in open_addresses:
            host, port = address
            serving.listen(host, port, "PORT or TLS_PORT").close()


if __name__ == "__main__":
    sys.exit(main())
