"""A reverse proxy as small as one can be: it takes a prefix off, changes Host and Origin, and speaks TLS.

It reads the head of one request per connection, changes it, and passes on bytes from then on. So sockets pass, too.
"""

import asyncio
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress


@contextmanager
def proxy(
    port: int,
    server: int,
    prefix: str = "",
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[None]:
    """Listen at `port` of the loopback for as long as the block lasts.

    Args:
        port: where browsers ask.
        server: port of the loopback where the server listens.
        prefix: taken off each path; what is not below it gets a 404.
        headers: what these become, by their names in lower case; "" takes one off.
        tls: how TLS is spoken; None: not at all.
    """
    started, stop = threading.Event(), []

    async def serve() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await _pass_on(reader, writer, server, prefix, headers or {})
            await _hang_up(writer)

        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        listening = await asyncio.start_server(answer, "127.0.0.1", port, ssl=tls)
        stop.append(lambda: loop.call_soon_threadsafe(ended.set))
        started.set()
        await ended.wait()
        listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError(f"the proxy did not come up at port {port}")
    try:
        yield
    finally:
        stop[0]()
        thread.join(10)


async def _pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    server: int,
    prefix: str,
    changed: Mapping[str, str],
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    (method, target, version), *lines = (line.split(" ", 2) for line in head.split("\r\n")[:-2])
    if target == prefix:
        writer.write(f"HTTP/1.1 301 Moved\r\nLocation: {prefix}/\r\nContent-Length: 0\r\n\r\n".encode())
        return
    if not target.startswith(f"{prefix}/"):
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return
    given = {name.rstrip(":").lower(): " ".join(value) for name, *value in lines}
    given |= {name: value for name, value in changed.items() if name in given or name.startswith("x-")}
    if "upgrade" not in given:
        given["connection"] = "close"
    said = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
    behind, ahead = await asyncio.open_connection("127.0.0.1", server)
    try:
        ahead.write(f"{method} {target[len(prefix) :]} {version}\r\n{said}\r\n".encode("latin-1"))
        back, forth = (asyncio.create_task(_pipe(*way)) for way in ((behind, writer), (reader, ahead)))
        try:
            await back
        finally:
            back.cancel()
            forth.cancel()
            await asyncio.gather(back, forth, return_exceptions=True)
    finally:
        await _hang_up(ahead)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await source.read(65536):
            sink.write(some)
            await sink.drain()
