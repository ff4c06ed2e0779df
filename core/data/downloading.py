"""Bringing a set onto this machine: one download for all who ask, true reasons where it fails, nothing left behind."""

import hashlib
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from ssl import SSLCertVerificationError
from tempfile import TemporaryDirectory
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, getproxies, proxy_bypass, urlopen

import torch

from core.data import cifar10
from core.data.catalogue import DataError, File, Source, source_of
from core.data.images import PictureError
from core.data.loading import WITHOUT, by_hand, decodable, decode, keep, no_room, undamaged, undecodable
from core.data.search import own
from core.knobs import clip

PART = 2**18  # bytes received between two reports of progress
TIMEOUT = 20.0  # seconds a mirror may be silent
GZIP = b"\x1f\x8b"


def download(name: str, progress: Callable[[float], None]) -> None:
    """Bring the set into `data/` of the cache, unless an undamaged one is on this machine already.

    What lies here in a form that has yet to be decoded is decoded instead; where that fails, the set is downloaded.

    A class that presses the button together downloads once, and all see it grow. Whatever `progress` raises, and
    Ctrl-C, ends the download and leaves nothing behind.

    Args:
        name: which set.
        progress: called in this thread with the share that is done, never falling, 1.0 at the end.

    Raises:
        DataError: no such set, no network, no mirror that has it right, or no room on the disk.
    """
    source = source_of(name)
    turn = _turns.setdefault(name, _Turn())
    told = 0.0

    def tell(share: float) -> None:
        nonlocal told
        told = max(told, share)
        progress(told)

    def report(share: float) -> None:
        turn.share = share
        tell(share)

    waited = False
    while not turn.lock.acquire(timeout=0.2):
        waited = True
        tell(turn.share)
    try:
        if waited and turn.failure is not None:
            raise DataError(str(turn.failure)) from turn.failure
        turn.share, turn.failure = 0.0, None
        if not undamaged(name):
            _bring_decoded(name, report) if source.decoded else _bring_files(name, source, report)
    except DataError as error:
        turn.failure = error
        raise
    finally:
        turn.lock.release()
    tell(1.0)


class _Turn:
    """One download of a set at a time: how far it is, and how the last one failed, for those who wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.share = 0.0
        self.failure: DataError | None = None


_turns: dict[str, _Turn] = {}


def _bring_decoded(name: str, report: Callable[[float], None]) -> None:
    """Decode what lies on this machine; where nothing does, or nothing that can be, download the published archive."""
    unusable = ""
    if decodable() is not None:
        try:
            decode(name, report)
            return
        except DataError:
            if decodable() is not None:  # it was decoded, and could not be stored
                raise
            unusable = f", and what lies here cannot be used: {undecodable()}"
    size, sha256 = cifar10.ARCHIVES[cifar10.BINARY]
    archive = bytearray()
    try:
        for part in _parts(cifar10.ADDRESS):
            archive += part
            report(min(len(archive) / size, 1.0))
            if len(archive) > size:
                break
        if len(archive) < size:
            raise _Failure(f"{cifar10.ADDRESS} broke off after {len(archive):,} of {size:,} bytes", AGAIN)
        numbers = cifar10.unpacked(archive, sha256, cifar10.ADDRESS)
    except (_Failure, PictureError) as error:
        raise _failed(name, error, unusable) from error
    keep(name, numbers, "")


def _bring_files(name: str, source: Source, report: Callable[[float], None]) -> None:
    """Download every file, then store them."""
    mirrors = _mirrors(name, source)
    total = sum(file.bytes for file in source.files)
    contents: list[bytes] = []
    for file in source.files:
        before = sum(map(len, contents))

        def received(count: int, before: int = before) -> None:
            report(min((before + count) / total, 1.0))

        contents.append(_fetched(name, file, mirrors, received))
    _store(name, source, contents)


def _mirrors(name: str, source: Source) -> Sequence[str]:
    """The addresses under which torchvision finds the files."""
    try:
        from torchvision import datasets  # takes a second, and only downloads need it
    except (ImportError, RuntimeError) as error:
        raise DataError(
            f"{name} could not be downloaded, because torchvision cannot be imported ({_reason(error)}); install the "
            f"one that fits torch {torch.__version__}, {by_hand(name)}, or {WITHOUT}."
        ) from error
    mirrors: Sequence[str] = getattr(datasets, source.published).mirrors
    return mirrors


def _fetched(name: str, file: File, mirrors: Sequence[str], received: Callable[[int], None]) -> bytes:
    """The bytes of a file, unpacked, from the first mirror that has them right.

    Where none has, the first one's failure is told: it is the one that is kept up, and what keeps a network from it is
    to be mended, while the others may be gone for good.
    """
    failures: list[_Failure] = []
    for mirror in mirrors:
        try:
            return _unpacked(f"{mirror}{file.name}.gz", file, received)
        except _Failure as failure:
            failures.append(failure)
    raise _failed(name, failures[0]) from failures[0]


def _unpacked(address: str, file: File, received: Callable[[int], None]) -> bytes:
    unpacker, content = zlib.decompressobj(wbits=31), bytearray()
    try:
        for part in _parts(address):
            content += unpacker.decompress(part, file.bytes + 1 - len(content))
            received(len(content))
            if len(content) > file.bytes:
                break
    except zlib.error as error:
        raise _Failure(f"{address} sent what is no gzip file", AGAIN) from error
    if not unpacker.eof and len(content) <= file.bytes:
        raise _Failure(f"{address} broke off after {len(content):,} of {file.bytes:,} bytes, unpacked", AGAIN)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _Failure(f"{address} does not hold the bytes that were published", AGAIN)
    return bytes(content)


def _parts(address: str) -> Iterator[bytes]:
    """What lies at `address`, part by part.

    torchvision's own download knows no time limit, cannot be stopped and draws its own bar; hence these lines.
    """
    first = True
    try:
        request = Request(address, headers={"User-Agent": "gradient-lab"})
        with urlopen(request, timeout=TIMEOUT) as answer:
            while part := answer.read(PART):
                if first and part.lstrip()[:1] == b"<":
                    raise _Failure(f"{_host(address)} was answered for with a web page instead of the file", SIGN_IN)
                first = False
                yield part
    except (OSError, HTTPException, EOFError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the answer, too, and holds the connection
        raise _why(address, error) from error


# ---- why it failed, and what to do about it ----------------------------------------------------------------------

AGAIN = "try again"
NETWORK = "check the network"
SIGN_IN = "open any page in a browser of this machine, since the network may want you to sign in there, and try again"
CERTIFICATE = (
    "check this machine's clock, and where your school or company inspects encrypted connections, set SSL_CERT_FILE to "
    "the file with its certificate"
)


class _Failure(Exception):
    """Why an address gave nothing, and the next move; both for a sentence."""

    def __init__(self, cause: str, move: str) -> None:
        super().__init__(cause)
        self.move = move


def _why(address: str, error: Exception) -> _Failure:
    """The true cause of a failure: the certificate, the proxy, the network, or what answered."""
    host, proxy, said = _host(address), _proxy(address), _reason(error)
    inner = error.reason if isinstance(error, URLError) and isinstance(error.reason, BaseException) else error
    if isinstance(inner, SSLCertVerificationError):
        reason = inner.verify_message if getattr(inner, "verify_message", "") else said
        return _Failure(f"the certificate that answered for {host} cannot be verified ({reason})", CERTIFICATE)
    refused_by_proxy = "Tunnel connection failed" in said or (isinstance(error, HTTPError) and error.code == 407)
    if proxy and (refused_by_proxy or not isinstance(error, HTTPError)):
        return _Failure(
            f"{address} cannot be read through the proxy {proxy} ({said})",
            "check the proxy in https_proxy and http_proxy, which may want a name and a password",
        )
    if isinstance(error, HTTPError):
        return _Failure(f"{address} cannot be read ({said})", "try again later" if error.code >= 500 else NETWORK)
    return _Failure(f"{address} cannot be read ({said})", NETWORK)


def _failed(name: str, error: Exception, unusable: str = "") -> DataError:
    move = error.move if isinstance(error, _Failure) else AGAIN
    return DataError(f"{name} could not be downloaded: {error}{unusable}; {move}, {by_hand(name)}, or {WITHOUT}.")


def _host(address: str) -> str:
    return urlsplit(address).hostname or address


def _proxy(address: str) -> str:
    """The proxy that answers for an address, without the password in it; empty where there is none."""
    parts = urlsplit(address)
    proxy = getproxies().get(parts.scheme, "")
    if not proxy or proxy_bypass(parts.netloc):
        return ""
    return clip(proxy.rsplit("@", 1)[-1].removeprefix("http://").rstrip("/"))


def _reason(error: BaseException) -> str:
    """What went wrong, without Python's wrapping: "No space left on device", "HTTP Error 404: Not Found"."""
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    return clip(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _store(name: str, source: Source, contents: Sequence[bytes]) -> None:
    """Write the files beside their place, then move them there: a half-written one never has their name."""
    home = own()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".download-", dir=home) as partial:
            for file, content in zip(source.files, contents, strict=True):
                Path(partial, file.name).write_bytes(content)
            folder = home / source.published / "raw"
            folder.mkdir(parents=True, exist_ok=True)
            for file in source.files:
                os.replace(Path(partial, file.name), folder / file.name)
    except OSError as error:
        raise no_room(name, error) from error
