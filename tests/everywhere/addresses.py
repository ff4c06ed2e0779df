"""The app served at every kind of address, and what works there: page, socket, API, code.

`table()` measures it and is what `python -m tests.everywhere addresses` prints; `test_addresses.py` expects it.
"""

import asyncio
import http.cookiejar
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from core.lessons import LESSONS
from core.places import ROOT
from tests.everywhere.proxy import proxy
from tests.load.visitor import Failed, Visitor

CODES = {"GRADIENT_LAB_CLASS_CODE": "tulip", "GRADIENT_LAB_TEACHER_CODE": "rembrandt"}
START_WITHIN = 120.0  # seconds
LESSON, KNOBS = "dying-relu", {"nets": "20", "depth": "4", "epochs": "2"}
REFUSED = "refused, and the page says why"
NO_TLS = "no openssl on this machine makes a certificate"
NO_IPV6 = "this machine has no ::1"


@dataclass(frozen=True)
class Address:
    """A kind of address.

    Attributes:
        name: of the kind.
        base: the server's base path, as whoever starts it writes it.
        prefix: what a proxy takes off.
        headers: what a proxy changes; {port} is its own.
        declared: GRADIENT_LAB_ADDRESS, {port} likewise.
        tls: who speaks TLS: "server", "proxy", or nobody.
        host: where the server listens.
        connects: whether a page may connect there.
    """

    name: str
    base: str = ""
    prefix: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    declared: str = ""
    tls: str = ""
    host: str = "127.0.0.1"
    connects: bool = True

    @property
    def behind(self) -> bool:
        """Whether a proxy stands ahead of the server."""
        return bool(self.prefix or self.headers or self.tls == "proxy")

    @property
    def settings(self) -> tuple[object, ...]:
        """What a server is started with; one that is declared has no other address."""
        return self.base, self.declared and self.name, self.tls == "server", self.host

    @property
    def why_not(self) -> str:
        """Why this machine cannot be asked there, "" where it can."""
        if self.tls and shutil.which("openssl") is None:
            return NO_TLS
        return NO_IPV6 if ":" in self.host and not has_ipv6() else ""


ADDRESSES = (
    Address("plain"),
    Address("base path", base="lab"),
    Address("nested base path", base="/a/b/"),
    Address("stripped prefix", prefix="/lab"),
    Address("stripped base path", base="lab", prefix="/lab"),
    Address("rewritten Host, declared", headers={"host": "lab"}, declared="http://127.0.0.1:{port}"),
    Address(
        "rewritten Origin, declared",
        headers={"host": "127.0.0.1:{port}", "origin": "http://localhost:8501"},
        declared="http://127.0.0.1:{port}",
    ),
    Address("rewritten, undeclared", headers={"host": "lab", "origin": "https://lab:8443"}, connects=False),
    Address("TLS by the server", tls="server"),
    Address(
        "TLS by a proxy",
        headers={"host": "lab", "x-forwarded-proto": "https"},
        declared="https://127.0.0.1:{port}/lab",
        prefix="/lab",
        tls="proxy",
    ),
    Address("IPv6", host="::1"),
)


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as here:
        here.bind(("::1", 0))
        return True
    return False


@dataclass(frozen=True)
class Served:
    """The app at an address.

    Attributes:
        address: the kind.
        url: of home, without a slash at its end.
        codes: whether it asks for a code.
        log: where it writes.
    """

    address: Address
    url: str
    codes: bool
    log: Path

    @property
    def entrance(self) -> str:
        """Where a student comes in first."""
        return f"{self.url}/?code=tulip" if self.codes else f"{self.url}/"

    @property
    def origin(self) -> str:
        """The origin of its pages, as a browser says it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


class Lab:
    """One server, started now, for addresses that need the same of it.

    Args:
        addresses: equal in `settings`.
        codes: whether it asks for a code.
        folder: for its files.
    """

    def __init__(self, addresses: Sequence[Address], codes: bool, folder: Path) -> None:
        first = addresses[0]
        folder.mkdir(parents=True, exist_ok=True)
        self.codes, self.folder, self.log = codes, folder, folder / "log"
        self.port = free_port(first.host)
        self._ports = {address.name: free_port("127.0.0.1") if address.behind else self.port for address in addresses}
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "", "GRADIENT_LAB_ENGINE": "in_thread"}
        env |= {"GRADIENT_LAB_CACHE": str(folder / "cache")}
        env |= {"STREAMLIT_SERVER_BASE_URL_PATH": first.base} if first.base else {}
        declared = first.declared.format(port=self._ports[first.name])
        env |= {"GRADIENT_LAB_ADDRESS": declared} if declared else {}
        env |= CODES if codes else {}
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
        command += ["--server.address", first.host, "--server.port", str(self.port)]
        if first.tls == "server":
            certificate, key = certified(folder)
            command += ["--server.sslCertFile", str(certificate), "--server.sslKeyFile", str(key)]
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)

    @contextmanager
    def at(self, address: Address) -> Iterator[Served]:
        """The server at one of its addresses, once it answers there."""
        port = self._ports[address.name]
        host = f"[{address.host}]" if ":" in address.host else address.host
        path = address.prefix or "".join(f"/{part}" for part in address.base.split("/") if part)
        here = Served(address, f"{'https' if address.tls else 'http'}://{host}:{port}{path}", self.codes, self.log)
        with ExitStack() as stack:
            if address.behind:
                headers = {name: value.format(port=port) for name, value in address.headers.items()}
                tls = None
                if address.tls == "proxy":
                    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    tls.load_cert_chain(*certified(self.folder))
                stack.enter_context(proxy(port, self.port, address.prefix, headers, tls))
            self._wait_for_health(here)
            yield here

    def _wait_for_health(self, here: Served) -> None:
        deadline = time.monotonic() + START_WITHIN
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):
                if Browser(here).ask(f"{here.url}/_stcore/health")[0] == 200:
                    return
            time.sleep(0.1)
        said = self.log.read_text(errors="replace")[-4000:]
        raise TimeoutError(f"the server did not come up (exit status {self._process.poll()}):\n{said}")

    def end(self) -> None:
        """Stop the server."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port(host: str) -> int:
    """A port of the loopback at which nothing listens."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate of nobody's for the loopback, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not certificate.exists():
        asked = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"]
        files = ["-keyout", str(key), "-out", str(certificate)]
        subprocess.run(["openssl", "req", "-x509", *asked, *names, *files], check=True, capture_output=True)
    return certificate, key


# --- what works there ------------------------------------------------------------------------------------------------


class Browser:
    """A browser's requests: it keeps cookies and follows redirects."""

    def __init__(self, here: Served) -> None:
        self.here, self.cookies = here, http.cookiejar.CookieJar()
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self.cookies),
            urllib.request.HTTPSHandler(context=self.tls),
        )

    def ask(self, url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, str, bytes]:
        """Status, the address in the end, and the body."""
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with self._opener.open(request, timeout=30) as answer:
                return answer.status, answer.url, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.url, error.read()

    async def get(self, path: str) -> bytes:
        """The body at a path below home. `Failed` unless the server gives it."""
        status, _, body = await asyncio.to_thread(self.ask, f"{self.here.url}/{path}")
        if status != 200:
            raise Failed(f"/{path}: {status} {body[:200]!r}")
        return body

    def close(self) -> None:
        """Nothing is held open."""


class Guest(Visitor):
    """A visitor (`tests/load/visitor.py`) of an address of any kind."""

    def __init__(self, here: Served, page: str, query: Mapping[str, str], browser: Browser) -> None:
        super().__init__(0, page, query)
        self.here, self.files = here, browser

    async def connect(self) -> None:
        """Open the WebSocket where Streamlit's page does, and as that origin."""
        address = self.here.url.replace("http", "ws", 1) + "/_stcore/stream"
        # Cookies of a path: those that the browser would send there.
        request = urllib.request.Request(f"{self.here.url}/_stcore/stream")
        self.files.cookies.add_cookie_header(request)
        try:
            self._line = await connect(
                address, subprotocols=["streamlit", "nobody"], origin=self.here.origin, proxy=None, compression=None,
                max_size=None, open_timeout=30, close_timeout=1.0, ping_interval=None,
                additional_headers={"Cookie": request.get_header("Cookie", "")},
                ssl=self.files.tls if address.startswith("wss") else None,
            )  # fmt: skip
        except (OSError, TimeoutError, WebSocketException) as error:
            raise Failed(f"no WebSocket: {error}") from error


def page_works(here: Served, browser: Browser) -> None:
    """Home and a lesson come with all their files, and an address without a page says so."""
    for path in ("", LESSON, f"{LESSON}/", f"lessons/{LESSON}"):
        status, url, body = browser.ask(f"{here.url}/{path}", Accept="text/html")
        _expect(status == 200 and b'<div id="root">' in body, f"/{path}: {status}")
        _expect(url.rstrip("/") == f"{here.url}/{path and LESSON}".rstrip("/"), f"/{path} leads to {url}")
    status, _, body = browser.ask(f"{here.url}/no-such-page", Accept="text/html")
    _expect(status == 404 and b"There is no page" in body, f"/no-such-page: {status}")


async def _socket_works(here: Served, browser: Browser) -> str:
    async with Guest(here, LESSON, KNOBS, browser) as guest:
        await guest.open(files=True)
        await guest.press("run")
        _expect(guest.shown is not None, "no run on the page")
        source, deadline = guest.shown["source"], time.monotonic() + 60
        while (await guest.refresh(source, 0))[1] == 0:
            _expect(time.monotonic() < deadline, "no frame within a minute")
            await asyncio.sleep(0.1)
        return str(source)


def socket_works(here: Served, browser: Browser) -> None:
    """A lesson is drawn, Run is pressed, and a first frame comes."""
    with ThreadPoolExecutor(1) as aside:  # whoever drives a browser has an event loop in this thread
        aside.submit(asyncio.run, _socket_works(here, browser)).result()


def api_works(here: Served, browser: Browser) -> None:
    """A stored run: its frames, its thumbnail, and a file to take home."""
    lesson = LESSONS[LESSON]
    key = lesson.key(next(iter(lesson.presets.values())))
    frames = json.loads(browser.ask(f"{here.url}/api/runs/{key}?since=0")[2])
    _expect(bool(frames.get("panels")), f"no run: {frames}")
    _expect(b"<svg" in browser.ask(f"{here.url}/api/runs/{key}/thumbnail.svg")[2], "no thumbnail")
    _expect(b"seed" in browser.ask(f"{here.url}/api/runs/{key}/curves.csv")[2][:2000], "no table")
    _expect(b"<html" in browser.ask(f"{here.url}/api/runs/{key}/replay.html")[2][:2000], "no replay")


def code_works(here: Served, browser: Browser) -> None:
    """The link lets a student in and the door the teacher, below whatever stands ahead of the path; others stay out."""
    if not here.codes:
        _expect(browser.ask(f"{here.url}/classroom", Accept="text/html")[0] == 200, "no page Classroom")
        return
    for path, status in (("_stcore/health", 200), ("", 401), (LESSON, 401), ("api/compare", 401), ("door", 200)):
        found = browser.ask(f"{here.url}/{path}")[0]
        _expect(found == status, f"/{path} without a code: {found}")
    status, url, _ = browser.ask(f"{here.url}/{LESSON}?width=4&code=tulip")
    _expect((status, url) == (200, f"{here.url}/{LESSON}?width=4"), f"the link leads to {url}: {status}")
    put = browser.ask(f"{here.url}/_stcore/upload_file/a/b", "PUT", b"")
    _expect(put[0] == 403 and b"Only the teacher" in put[2], f"a student's upload: {put[0]}")
    secure = {cookie.secure for cookie in browser.cookies if cookie.name.startswith("gradient_lab")}
    _expect(secure == {here.url.startswith("https")}, f"cookies are Secure: {secure}")
    teacher = Browser(here)
    status, url, _ = teacher.ask(f"{here.url}/door", "POST", b"code=rembrandt")
    _expect((status, url) == (200, f"{here.url}/classroom"), f"the door leads to {url}: {status}")
    said = here.log.read_text(errors="replace")
    if not here.address.behind or here.address.declared:
        _expect(f"The class:    {here.url} " in said, "the invitation says another address")


CHECKS: dict[str, Callable[[Served, Browser], None]] = {
    "code": code_works, "page": page_works, "API": api_works, "socket": socket_works,
}  # fmt: skip


def found(here: Served) -> dict[str, str]:
    """What works at an address, by its column: "yes", or what went wrong."""
    browser, told = Browser(here), {}
    for name, check in CHECKS.items():
        try:
            check(here, browser)
            told[name] = "yes"
        except (Failed, OSError, ValueError) as error:
            told[name] = str(error)
    if not here.address.connects and "no WebSocket" in told["socket"] and "GRADIENT_LAB_ADDRESS" in why_refused(here):
        told["socket"] = REFUSED
    return told


def why_refused(here: Served) -> str:
    """What a page there is told on why it cannot connect."""
    browser = Browser(here)
    browser.ask(here.entrance)
    asked = f"{here.url}/gradient-lab/connection?opened={quote(here.origin, safe='')}"
    return str(json.loads(browser.ask(asked, "POST", b"", Origin=here.origin)[2])["error"])


def _expect(fine: bool, what: str) -> None:
    if not fine:
        raise Failed(what)


def in_labs(addresses: Sequence[Address]) -> list[list[Address]]:
    """The addresses that one server has, for each server."""
    found: dict[tuple[object, ...], list[Address]] = {}
    for address in addresses:
        found.setdefault(address.settings, []).append(address)
    return list(found.values())


def table() -> str:
    """What works at which address, measured now, as a table in Markdown."""
    columns = ("page", "socket", "API", "code")
    told: dict[tuple[str, bool], dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, addresses in enumerate(in_labs([each for each in ADDRESSES if not each.why_not])):
            for codes in (False, True):
                lab = Lab(addresses, codes, Path(folder) / f"{number} {codes}")
                try:
                    for address in addresses:
                        with lab.at(address) as here:
                            told[address.name, codes] = found(here)
                finally:
                    lab.end()
    lines = ["| address | codes | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for address in ADDRESSES:
        for codes in (False, True):
            cells = told.get((address.name, codes), {})
            row = [cells.get(column, f"not tried: {address.why_not}") for column in columns]
            lines.append(f"| {address.name} | {'with' if codes else 'without'} | {' | '.join(row)} |")
    return "\n".join(lines)
