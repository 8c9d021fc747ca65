"""Whether workers could start with the settings and the code as they are now.

gunicorn's master runs this module as a process of its own before a reload (see `reload_guard`),
with gunicorn's own arguments, so that it reads the same options. On the standard input it gets what
it cannot know, as JSON: `addresses`, which are open already, and `metrics_folder`, which is empty
if none is set. It changes no data: a schema that development would migrate is left alone. Folders
and files that each start creates, of metrics and of TLS in development, are created here.
"""

from __future__ import annotations

import json
import sys
import traceback
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

from gunicorn.app.wsgiapp import WSGIApplication

from server.reload_guard import PASSED

_UNEXPECTED = "a worker would not start; the lines above say why."


def main() -> int:
    """Print PASSED or what is wrong as one sentence on the standard output; return the exit status.

    Everything else, such as a traceback, goes to the standard error.
    """
    facts = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):
        try:
            sentence = _fault(facts)
        except SystemExit:  # gunicorn refuses an option, with its own words
            sentence = _UNEXPECTED
        except Exception:
            traceback.print_exc()
            sentence = _UNEXPECTED
    sys.stdout.write(sentence or PASSED)
    return 1 if sentence else 0


def _fault(facts: dict[str, Any]) -> str:
    """What is wrong, as a sentence; nothing if workers could start."""
    gunicorn = WSGIApplication(prog="gunicorn")
    from config import ConfigurationError  # with the path that gunicorn.conf.py sets

    try:
        _check(gunicorn.cfg, gunicorn.app_uri, facts)
    except ConfigurationError as error:
        return str(error)
    return ""


def _check(options: Any, function: str, facts: dict[str, Any]) -> None:
    """Raise ConfigurationError for what a worker or its master would not start with."""
    from server import metrics_folder

    if options.pythonpath:  # gunicorn reads the option only when it starts
        sys.path[:0] = [str(Path(path).absolute()) for path in options.pythonpath.split(",")]
    service = import_module(function.partition(":")[0])
    service.check_start(options.workers, len(options.address))
    addresses = [list(one) if isinstance(one, tuple) else one for one in options.address]
    _check_addresses(addresses, facts["addresses"])
    if options.workers > 1 and facts["metrics_folder"]:
        metrics_folder.prepare_folder(Path(facts["metrics_folder"]))


def _check_addresses(new: list[Any], old: list[Any]) -> None:
    """Whether gunicorn can open these addresses while the old workers have theirs.

    It leaves its sockets as they are if nothing has changed. Otherwise it opens all of them anew,
    and ends itself if it cannot. Raises ConfigurationError.
    """
    from config import ConfigurationError
    from server import serving

    if new == old:
        return
    for address in new:
        if address in old:
            raise ConfigurationError(_restart_sentence(address))
    old_ports = [port for _, port in _internet(old)]
    for host, port in _internet(new):
        try:
            serving.listen(host, port, "PORT or TLS_PORT").close()
        except ConfigurationError:
            if port in old_ports:  # such as 0.0.0.0 instead of 127.0.0.1
                raise ConfigurationError(_restart_sentence([host, port])) from None
            raise


def _internet(addresses: list[Any]) -> list[tuple[str, int]]:
    """The hosts and ports, without sockets of Unix."""
    return [(one[0], one[1]) for one in addresses if isinstance(one, list)]


def _restart_sentence(address: Any) -> str:
    place = f"{address[0]}, port {address[1]}," if isinstance(address, list) else address
    return (
        f"HOST, PORT or TLS_PORT has changed, and {place} cannot be opened anew while the old "
        "workers have it: restart the service."
    )


if __name__ == "__main__":
    sys.exit(main())
