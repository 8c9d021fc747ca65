"""Functions of the browser tests, and `Visit`, which records what a page does."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import zxingcpp
from PIL import Image
from playwright.sync_api import ConsoleMessage, Locator, Page, WebSocket, WebSocketRoute, expect

from tests.support.browser import NewContext
from tests.support.service import ServiceProcess

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
NARROW: dict[str, Any] = {**PHONE, "viewport": {"width": 320, "height": 640}}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
# A window of 1280 × 720 at 200 % zoom has half the width and height.
ZOOMED: dict[str, Any] = {"viewport": {"width": 640, "height": 360}, "device_scale_factor": 2}

BOB = {"name": "Bob de Souza", "document": "12345678909"}

WAITING = "Pague com Pix"
CHECKING = "Conferindo se o pagamento chegou…"
CONFIRMED = "Pagamento confirmado"
EXPIRED = "O prazo deste código acabou"
REFUSED = "Recebemos depois do prazo e o valor está voltando"
CANCELLED = "A loja cancelou este pagamento"
NOT_FOUND = "Não encontramos este pagamento"

# Records each heading of the state region, and when it was painted, in milliseconds since 1970.
DIARY = """() => {
  const region = document.querySelector("#state");
  window.diary = [];
  const write = () => {
    const heading = [...region.querySelectorAll("h1")].find((h1) => h1.checkVisibility());
    const text = heading?.textContent.trim();
    if (text === undefined || text === window.diary.at(-1)?.text) return;
    const entry = { text, painted: null };
    window.diary.push(entry);
    requestAnimationFrame(() => setTimeout(() => {
      entry.painted = performance.timeOrigin + performance.now();
    }));
  };
  write();
  new MutationObserver(write).observe(region, {
    attributes: true, childList: true, subtree: true,
  });
}"""

# Brings each transition to its end. Nothing waits for them: a transition that the browser has not
# begun never ends by itself.
END_TRANSITIONS = """() => document.getAnimations()
  .filter((one) => one instanceof CSSTransition).forEach((one) => one.finish())"""

# Logs violations of the content security policy to the console.
VIOLATIONS = """document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`);
});"""


@dataclass
class Visit:
    """One open page, with its console errors, requests, loads and received socket frames."""

    page: Page
    service: ServiceProcess
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(10_000)
        self.page.add_init_script(VIOLATIONS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"threw {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("framenavigated", lambda frame: self.loads.append(frame.url))
        self.page.on("websocket", self._websocket)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _websocket(self, socket: WebSocket) -> None:
        self.requests.append(socket.url)
        socket.on("framereceived", lambda data: self.frames.append(str(data)))

    @property
    def foreign_requests(self) -> list[str]:
        """Requests to other hosts."""
        ours = urlsplit(self.service.url).netloc
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme != "data" and urlsplit(url).netloc != ours
        ]

    def open(self, path: str, **options: Any) -> Page:
        """Go to a page of the service."""
        self.page.goto(self.service.url + path, **options)
        return self.page

    def watch(self, payment: dict[str, Any], query: str = "") -> Page:
        """Open a payment's page, wait until its socket watches, and start its diary."""
        with self.page.expect_websocket() as socket:
            self.open(f"/payments/pix/{payment['id']}{query}")
        # The acknowledgement of `watch` is the first Socket.IO packet of type 3.
        acks = [frame for frame in self.frames if frame.startswith("43")]
        if not acks:
            socket.value.wait_for_event(
                "framereceived", predicate=lambda data: str(data).startswith("43")
            )
        self.page.evaluate(DIARY)
        return self.page

    def diary(self) -> list[str]:
        """The headings shown since `watch`, in order."""
        return [entry["text"] for entry in self.page.evaluate("window.diary")]

    def painted_at(self, heading: str) -> float:
        """When a heading of the diary was painted, in seconds since 1970."""
        self.page.wait_for_timeout(50)  # the paint after the last change
        entries = [
            entry for entry in self.page.evaluate("window.diary") if entry["text"] == heading
        ]
        assert entries, f"{heading!r} is not among {self.diary()}"
        painted: float = entries[-1]["painted"]
        return painted / 1000


@dataclass
class Lifeline:
    """A socket that can die silently: after `cut` it passes nothing and does not close."""

    is_alive: bool = True

    def cut(self) -> None:
        self.is_alive = False

    def attach(self, page: Page) -> Lifeline:
        """Route the page's sockets; those opened after the cut work."""
        page.route_web_socket("**/socket.io/**", self._route)
        return self

    def _route(self, near: WebSocketRoute) -> None:
        far = near.connect_to_server()
        was_alive = self.is_alive

        def passes() -> bool:
            return self.is_alive or not was_alive

        near.on_message(lambda message: far.send(message) if passes() else None)
        far.on_message(lambda message: near.send(message) if passes() else None)


def expect_no_lost_script(page: Page) -> None:
    """Wait until the watchdog has looked, a second after the load event, and was content."""
    page.wait_for_load_state("load")
    page.wait_for_timeout(1_200)
    expect(page.locator("#lost-script")).to_be_hidden()


def block_sockets(page: Page) -> None:
    """Block websockets and long polling, as some firewalls do."""
    page.route("**/socket.io/**", lambda route: route.abort())
    page.route_web_socket("**/socket.io/**", lambda socket: socket.close())


def heading(page: Page) -> Locator:
    return page.locator("h1:visible")


def state_line(page: Page) -> Locator:
    """The line that says the payment's state."""
    return page.locator("#state-line")


def in_both_schemes(page: Page) -> Iterator[str]:
    """Show the page in light and then in dark without a new load; yields the scheme."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(END_TRANSITIONS)
        yield scheme


def enter_bank(bank: Page) -> None:
    """Sign in at the demo bank as Bia, if the bank asks."""
    expect(heading(bank).first).to_be_visible()
    enter = bank.get_by_role("button", name="Entrar como Bia")
    if enter.count() > 0:
        enter.click()
        expect(enter).to_have_count(0)


def pay_at_the_bank(bank: Page, pin: str = "1234") -> None:
    """Type the PIN on the bank's review page and pay."""
    enter_bank(bank)
    bank.get_by_label("Senha do cartão").fill(pin)
    bank.get_by_role("button", name="Pagar R$").click()


def review_path(payment: dict[str, Any], scenario: str = "normal") -> str:
    """The bank's page that shows a payment before it is paid."""
    return f"/bank/pay?{urlencode({'code': payment['pix_code'], 'scenario': scenario})}"


def texts_in(picture: bytes) -> list[str]:
    """The texts of the QR codes in a screenshot."""
    image = Image.open(io.BytesIO(picture)).convert("L")
    return [barcode.text for barcode in zxingcpp.read_barcodes(image)]


def scrolls_sideways(page: Page) -> list[str]:
    """The elements that are wider than their container; empty if all fit.

    The strip's row of tools and text fields may scroll by themselves.
    """
    wide: list[str] = page.evaluate("""() => {
      const exempt = "input, textarea, select, .visually-hidden, .test-strip__tools, option";
      const wide = [...document.querySelectorAll("html, body, body *")].filter((node) =>
        node.clientWidth > 0 && node.scrollWidth > node.clientWidth + 1 && !node.closest(exempt)
        && getComputedStyle(node).display !== "inline");
      return wide.filter((node) => !wide.some((other) => other !== node && node.contains(other)))
        .map((node) =>
        `${node.scrollWidth} > ${node.clientWidth}: ${node.outerHTML.slice(0, 150)}`);
    }""")
    return wide


def pdf_pages(page: Page, **options: Any) -> int:
    """The number of sheets that the page prints on."""
    session = page.context.new_cdp_session(page)
    try:
        answer = session.send("Page.printToPDF", {"preferCSSPageSize": False, **options})
    finally:
        session.detach()
    return base64.b64decode(answer["data"]).count(b"/Type /Page\n")


def visitor(new_context: NewContext, service: ServiceProcess, **look: Any) -> Visit:
    """A visit in a new browser context."""
    return Visit(new_context(**look).new_page(), service)


def expect_heading(page: Page, text: str, seconds: float = 5) -> None:
    """Wait until the page's heading is `text`."""
    expect(heading(page)).to_have_text(text, timeout=seconds * 1000)
