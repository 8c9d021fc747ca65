"""A browser, as far as a server notices: connections, a cache, a page's files, one websocket."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin

from benchmarks.load import length_of, request_bytes, source_address, status_of
from benchmarks.sockets import decode_frame, encode_frame, upgrade_bytes
from benchmarks.subjects import PAGE, PICTURE

CONNECTIONS_MAX = 6
ANSWER_SECONDS = 60.0
Result = TypeVar("Result")

_TAG = re.compile(r"<(?:link|script|img)\b[^>]*>")
_ADDRESS = re.compile(r'(?:href|src)="(?:http://127\.0\.0\.1(?::\d+)?)?(/[^"]*)"')
_SOCKET_CLIENT = re.compile(r'data-socket-client="([^"]+)"')
_IMPORT = re.compile(r'(?:from|import)\s*"(\.{1,2}/[^"]+)"')


def run_alone(work: Coroutine[Any, Any, Result]) -> Result:
    """Run the coroutine in a thread of its own, because this thread may have a loop that runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@dataclass(frozen=True)
class Page:
    """What was answered, uncompressed."""

    status: int
    body: bytes
    tag: str | None
    """The ETag."""
    is_fresh: bool
    """Whether a cache may use it again without a question."""


class Browser:
    """One shopper's browser, or the connections of a shop's or bank's server."""

    def __init__(self, port: int, number: int, cache: dict[str, Page] | None = None) -> None:
        """`number` gives it an address of its own; `cache` is from an earlier visit."""
        self.port = port
        self.cache = dict(cache or {})
        self.requests = 0
        self.refusals = 0
        """Answers with 503 to requests that allow it."""
        self._visited: set[str] = set()
        """Loaded for this page: a module that two scripts import is loaded once."""
        self._local = (source_address(number), 0)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._seats = asyncio.Semaphore(CONNECTIONS_MAX)

    async def send(self, request: bytes, *expect: int) -> Page:
        """Send a request. Raises AssertionError for an answer with another status."""
        async with self._seats:
            self.requests += 1
            async with asyncio.timeout(ANSWER_SECONDS):
                head, body = await self._exchange(request)
        status = status_of(head)
        assert status in expect, f"{request[:200]!r} was answered {head!r} {body[:400]!r}"
        self.refusals += status == 503
        headers = _headers_in(head)
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        is_fresh = "max-age=" in headers.get("cache-control", "")
        return Page(status, body, headers.get("etag"), is_fresh)

    async def _exchange(self, request: bytes) -> tuple[bytes, bytes]:
        while True:
            is_used = bool(self._idle)
            reader, writer = self._idle.pop() if is_used else await self._connect()
            try:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
                body = await reader.readexactly(length_of(head))
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                if is_used:  # the server had closed an idle connection
                    continue
                raise
            if b"connection: close" in head.lower():
                writer.close()
            else:
                self._idle.append((reader, writer))
            return head, body

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=self._local)

    async def visit(self, path: str) -> str:
        """Load a page with its files; return its text."""
        page = await self.send(request_bytes("GET", path, headers=PAGE), 200)
        text = page.body.decode()
        self._visited.clear()
        await self.load_files(text)
        return text

    async def load_files(self, text: str) -> None:
        """Load the files of a page, or of a part of one."""
        await self._load_all(dict.fromkeys(files_in(text)))

    async def _load_all(self, paths: Iterable[str]) -> None:
        await asyncio.gather(*(self._load(path) for path in paths))

    async def _load(self, path: str) -> None:
        self._visited.add(path)
        saved = self.cache.get(path)
        if saved is None or not saved.is_fresh:
            headers = dict(PICTURE)
            if saved is not None and saved.tag:
                headers["If-None-Match"] = saved.tag
            answer = await self.send(request_bytes("GET", path, headers=headers), 200, 304)
            if answer.status == 200 or saved is None:
                saved = self.cache[path] = answer
        script = path.partition("?")[0]
        if script.endswith(".js") and "/vendor/" not in script:
            names = _IMPORT.findall(saved.body.decode())
            imports = [urljoin(script, name) for name in names]
            new = [one for one in imports if one not in self._visited]
            self._visited.update(new)
            await self._load_all(new)

    def close(self) -> None:
        """Close the connections."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


def files_in(html: str) -> list[str]:
    """The style sheets, scripts and pictures that a browser loads for this page, and its client."""
    tags = [tag for tag in _TAG.findall(html) if 'rel="expect"' not in tag]
    return [path for tag in tags for path in _ADDRESS.findall(tag)] + _SOCKET_CLIENT.findall(html)


def _headers_in(head: bytes) -> dict[str, str]:
    """The headers of an answer; their names are in lower case."""
    pairs = (line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.lower(): value for name, value in pairs}


class LiveSocket:
    """A Socket.IO client over a websocket, whose task answers pings."""

    def __init__(self) -> None:
        self.messages = 0
        """Received, without pings."""
        self._awaited: list[tuple[str, asyncio.Future[str]]] = []

    async def open(self, port: int, number: int) -> None:
        """Connect and open the namespace."""
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=(source_address(number), 0)
        )
        self._writer.write(upgrade_bytes(port))
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert status_of(head) == 101, head
        opened = self.expect("0")
        self._task = asyncio.create_task(self._receive())
        await opened
        joined = self.expect("40")
        self.send("40")
        await joined

    def send(self, message: str) -> None:
        """Send a message."""
        self._writer.write(encode_frame(message))

    def expect(self, prefix: str) -> asyncio.Future[str]:
        """The next message with this prefix; ask before the message can come."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._awaited.append((prefix, future))
        return future

    async def _receive(self) -> None:
        buffer = b""
        while data := await self._reader.read(65_536):
            buffer += data
            message, buffer = decode_frame(buffer)
            while message is not None:
                self._hear(message)
                message, buffer = decode_frame(buffer)
        for _, future in self._awaited:
            future.set_exception(ConnectionError("the server closed the websocket"))

    def _hear(self, message: str) -> None:
        if message == "2":
            self.send("3")
            return
        self.messages += 1
        for pair in [pair for pair in self._awaited if message.startswith(pair[0])]:
            self._awaited.remove(pair)
            pair[1].set_result(message)

    def close(self) -> None:
        """Close the socket without a close frame, as phones do."""
        self._task.cancel()
        self._writer.close()
