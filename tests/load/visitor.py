"""A visitor without a browser: Streamlit's protocol over a WebSocket, and the player's fetches over HTTP.

It speaks as a browser tab does and reads only what that needs: which widgets there are, which run is shown, whether
the script has finished, and whether it showed an exception. So a hundred of them fit beside the server they visit.
"""

import asyncio
import json
import re
import time
import zlib
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

HOST = "127.0.0.1"
PATIENCE = 180.0  # seconds after which an answer counts as none
FINISHED = {
    ForwardMsg.FINISHED_SUCCESSFULLY,
    ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY,
    ForwardMsg.FINISHED_WITH_COMPILE_ERROR,
}
FILES = re.compile(rb'(?:src|href)="\./(static/[^"]+\.(?:js|css))"')
ASSETS = re.compile(r"assets/[0-9a-f]+/[a-z.-]+")
STATE = re.compile(rb'"state":"([a-z]+)"')
FRAMES = re.compile(rb'"frames":([0-9]+)')
FINAL = {"done", "failed", "stopped", "interrupted"}


class Failed(Exception):
    """What a visitor would call an error: a trace on the screen, a refusal, silence, a broken line."""


class Files:
    """A browser's plain requests: one connection that stays open, and answers kept by their tag."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0  # requests on this connection
        self._kept: dict[str, tuple[str, bytes]] = {}

    async def get(self, path: str) -> bytes:
        """The body at `path`, asked for with the tag of the one held. `Failed` unless the server gives it."""
        async with asyncio.timeout(PATIENCE):
            try:
                try:
                    return await self._get(path)
                except (ConnectionError, asyncio.IncompleteReadError):
                    if self._used == 1:
                        raise
                    self.close()  # a server hangs up on a line that was silent for some seconds: call again
                    return await self._get(path)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.close()
                raise Failed(f"/{path.split('?')[0]}: {type(error).__name__} {error}") from error

    async def _get(self, path: str) -> bytes:
        if self._streams is None:
            self._streams, self._used = await asyncio.open_connection(HOST, self.port), 0
        reader, writer = self._streams
        self._used += 1
        tag, held = self._kept.get(path, ("", b""))
        known = f"If-None-Match: {tag}\r\n" if tag else ""
        writer.write(f"GET /{path} HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: gzip\r\n{known}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        code = int(status.split()[1])
        if code == 304:
            return held
        if headers.get("content-encoding") == "gzip":
            body = zlib.decompress(body, wbits=31)
        if code != 200:
            raise Failed(f"/{path.split('?')[0]}: {code} {body[:200]!r}")
        if "etag" in headers:
            self._kept[path] = headers["etag"], body
        return body

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Visitor:
    """One browser tab on one page.

    Attributes:
        widgets: key → id of what stands on the page.
        drawn: keys of those that the last run of its script drew.
        shown: what the player was told of the run on the page; None where there is none.
        errors: what the page said in red in the last run of its script.
        script_seconds: how long each run of the script took, from the request to its last word.
        refresh_seconds: the same for each question about a run.
    """

    def __init__(self, port: int, page: str, query: Mapping[str, str]) -> None:
        self.port, self.page, self.query = port, page, urlencode(query)
        self.files = Files(port)
        self.widgets: dict[str, str] = {}
        self.drawn: set[str] = set()
        self.shown: dict[str, Any] | None = None
        self.errors: list[str] = []
        self.script_seconds: list[float] = []
        self.refresh_seconds: list[float] = []
        self._line: ClientConnection | None = None
        self._assets: set[str] = set()
        self._kept: dict[str, ForwardMsg] = {}
        self._parts: dict[str, str] = {}  # key of a widget → the part of the page that it stands in; "": in none
        self._before: tuple[dict[str, str], dict[str, Any] | None] = {}, None  # what stood there at the last start

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.files.close()
        if self._line is not None:
            await self._line.close()

    async def open(self, files: bool = False) -> float:
        """Load the page: its files, its script, the run on it. Returns the seconds that took.

        Args:
            files: whether this browser is here for the first time and needs the scripts and styles as well.
        """
        begun = time.perf_counter()
        index = await self.files.get(self.page)
        if files:
            for path in FILES.findall(index):
                await self.files.get(path.decode())
        await self.connect()
        await self.run()
        if files:
            for asset in sorted(self._assets):
                await self.files.get(asset)
        await self.look()
        return time.perf_counter() - begun

    async def connect(self) -> None:
        """Open the WebSocket, as Streamlit's page does."""
        address = f"ws://{HOST}:{self.port}/_stcore/stream"
        try:
            self._line = await connect(
                address, subprotocols=["streamlit", "nobody"], origin=f"http://{HOST}:{self.port}", proxy=None,
                compression=None, max_size=None, open_timeout=PATIENCE, close_timeout=1.0, ping_interval=None,
            )  # fmt: skip
        except (OSError, TimeoutError, WebSocketException) as error:
            raise Failed(f"no WebSocket: {error}") from error

    async def follow(self, query: Mapping[str, str]) -> None:
        """Follow a link to the same page."""
        self.query = urlencode(query)
        await self.run()
        await self.look()

    async def press(self, key: str) -> None:
        """Press a button."""
        await self.run(key, trigger_value=True)

    async def turn(self, key: str, value: float) -> None:
        """Type a number."""
        await self.run(key, double_value=value)

    async def slide(self, key: str, label: str) -> None:
        """Put a slider on one of its stops."""
        await self.run(key, string_array_value={"data": [label]})

    async def run(self, key: str | None = None, **value: Any) -> None:
        """Run the script, perhaps with a new value for one widget, until it has nothing more to say."""
        if self._line is None:
            raise Failed("the visitor has not connected")
        request = BackMsg()
        request.rerun_script.page_name = self.page
        request.rerun_script.query_string = self.query
        request.rerun_script.cached_message_hashes.extend(self._kept)
        if key is not None:
            if key not in self.widgets:
                raise Failed(f"{key} is not on the page")
            request.rerun_script.widget_states.widgets.add(id=self.widgets[key], **value)
            request.rerun_script.fragment_id = self._parts[key]
        self.errors, self.drawn = [], set()
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._line.send(request.SerializeToString())
                while not self._take(ForwardMsg.FromString(await self._line.recv())):
                    pass
        except (OSError, TimeoutError, WebSocketException) as error:
            raise Failed(f"{self.page}: no end of the script: {type(error).__name__} {error}") from error
        self.script_seconds.append(time.perf_counter() - begun)

    async def say(self, message: BackMsg) -> None:
        """Send something that no page sends; nothing is awaited."""
        if self._line is None:
            raise Failed("the visitor has not connected")
        await self._line.send(message.SerializeToString())

    def _take(self, message: ForwardMsg) -> bool:
        """Take note of a message. Whether it was the last of this run."""
        if message.metadata.cacheable:
            self._kept[message.hash] = message
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            message = self._kept[message.ref_hash]
            kind = message.WhichOneof("type")
        if kind == "delta":
            self._draw(message.delta.new_element, message.delta.fragment_id)
        elif kind == "new_session":
            self._before = self.widgets, self.shown
            drawn = message.metadata.run.fragment_ids  # none: the whole page
            stay = (key for key in self.widgets if drawn and self._parts[key] not in drawn)
            self.widgets, self.shown = {key: self.widgets[key] for key in stay}, None
        elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            self.widgets, self.shown = self._before  # a part was asked for instead: the page stays as it was
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "page_not_found":
            raise Failed(f"{self.page}: no such page")
        return kind == "script_finished" and message.script_finished in FINISHED

    def _draw(self, element: Any, part: str) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            raise Failed(f"{self.page}: an exception on the screen: {element.exception.message}")
        if kind == "alert" and element.alert.format == element.alert.ERROR:
            self.errors.append(element.alert.body)
        drawn = getattr(element, kind or "", None)
        name = getattr(drawn, "id", "")
        if name:
            key = name.split("-", 2)[2]  # $$ID-<hash>-<key>
            self.widgets[key], self._parts[key] = name, part
            self.drawn.add(key)
        if kind == "bidi_component":
            self.shown = json.loads(element.bidi_component.json)
            self._assets |= set(ASSETS.findall(element.bidi_component.js_content))

    async def look(self) -> str:
        """The whole run on the page, as the player asks for it at first. Returns its state."""
        if self.shown is None:
            return ""
        if self.shown["ghost"]:
            await self.refresh(self.shown["ghost"], 0)
        return (await self.refresh(self.shown["source"], 0))[0]

    async def refresh(self, source: str, since: int) -> tuple[str, int]:
        """Ask for what is new of a run: its state, and how many frames it has."""
        begun = time.perf_counter()
        body = await self.files.get(f"{source}?since={since}")
        self.refresh_seconds.append(time.perf_counter() - begun)
        state, frames = STATE.search(body), FRAMES.search(body)
        if state is None or frames is None:
            raise Failed(f"{source}: no run in {body[:80]!r}")
        return state[1].decode(), int(frames[1])

    async def finished(self, slug: str) -> None:
        """Tell the page, as the player does, that the run on it has ended."""
        name = f"player/{slug}"
        if name not in self.widgets:
            raise Failed(f"{name} is not on the page")
        self._parts["finished"] = self._parts[name]
        self.widgets["finished"] = f"$$STREAMLIT_INTERNAL_KEY_{self.widgets[name]}__events"
        said = [{"event": "finished", "value": self.shown and self.shown["run"]}]
        await self.run("finished", json_trigger_value=json.dumps(said))
