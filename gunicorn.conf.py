"""Balcão on gunicorn: `gunicorn -c gunicorn.conf.py`. See docs/operators.md, Production.

All settings are those of docs/settings.md. Options on gunicorn's command line win over this file.
gunicorn reads the file again at SIGHUP, if new workers can start.
"""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

from server import gunicorn_master  # noqa: E402  # gunicorn may be started in another folder

chdir = _ROOT
wsgi_app = "app:serve_sockets"  # what a worker runs; not a WSGI application, see gunicorn_worker
worker_class = "server.gunicorn_worker.ServiceWorker"
bind = gunicorn_master.addresses()
workers = gunicorn_master.worker_count()
backlog = 1024

timeout = 30  # a worker whose hub does not run for so long is killed, and another one started
graceful_timeout = 25  # the service stops within ten seconds, and gives its jobs a few more

worker_tmp_dir = gunicorn_master.memory_folder()  # a heartbeat must not wait for a disk
control_socket_disable = True  # it needs threads in the master, and nobody here asks it
raw_env = ["ASYNC_MODE=gevent"]
logconfig_dict = gunicorn_master.log_config()

nworkers_changed = gunicorn_master.change_workers
on_starting = gunicorn_master.prepare
child_exit = gunicorn_master.forget_worker
on_exit = gunicorn_master.remove_metrics
