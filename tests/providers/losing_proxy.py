"""A TCP proxy in front of a bank that loses answers: the bank acts, and the client never hears."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass


@dataclass
class _Pair:
    """One connection of the client and the one to the bank."""

    client: socket.socket
    bank: socket.socket
    client_turns: int = 0
    is_clients_turn: bool = False

    def close(self) -> None:
        for side in (self.client, self.bank):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


class LosingProxy:
    """Forwards TLS 1.3 as it comes, and cuts connections in place of answers when told to."""

    def __init__(self, bank_port: int) -> None:
        self._bank_port = bank_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._to_lose = 0
        self._to_pass = 0
        self._pass_between = 0
        self.lost = 0
        """How many answers were lost."""
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accept no further connection."""
        # Closed alone, it would still accept one: the thread waits in the system.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()

    def lose(self, number: int, *, pass_between: int = 0) -> None:
        """Lose the next answers; between two of them so many pass."""
        with self._lock:
            self._to_lose, self._to_pass, self._pass_between = number, 0, pass_between

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                bank = socket.create_connection(("127.0.0.1", self._bank_port), timeout=5)
            except OSError:
                client.close()
                continue
            bank.settimeout(None)
            pair = _Pair(client, bank)
            for pump in (self._requests, self._answers):
                threading.Thread(target=pump, args=(pair,), daemon=True).start()

    def _requests(self, pair: _Pair) -> None:
        with suppress(OSError):
            while data := pair.client.recv(65_536):
                if not pair.is_clients_turn:
                    pair.is_clients_turn = True
                    pair.client_turns += 1
                pair.bank.sendall(data)
        pair.close()
        pair.client.close()

    def _answers(self, pair: _Pair) -> None:
        with suppress(OSError):
            while data := pair.bank.recv(65_536):
                is_begin, pair.is_clients_turn = pair.is_clients_turn, False
                # The bank's first turn is its part of the handshake; it sends no tickets later.
                if is_begin and pair.client_turns > 1 and self._loses():
                    break
                pair.client.sendall(data)
        pair.close()
        pair.bank.close()

    def _loses(self) -> bool:
        with self._lock:
            if self._to_lose == 0:
                return False
            if self._to_pass > 0:
                self._to_pass -= 1
                return False
            self._to_lose -= 1
            self._to_pass = self._pass_between
            self.lost += 1
            return True
