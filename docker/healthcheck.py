"""Exit status 0 when http://127.0.0.1:PORT/PATH answers 200; for health checks of containers.

It uses plain sockets, because it runs every few seconds, and importing an HTTP client would cost
ten times as much as the request.
"""

import socket
import sys

port, path = int(sys.argv[1]), sys.argv[2]
with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
    connection.settimeout(3)
    connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    status = connection.makefile("rb").readline().split()[1:2]
sys.exit(status != [b"200"])
