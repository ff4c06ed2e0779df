"""Bringing a set onto this machine, from servers on the loopback: what lies there then, and why it may fail."""

import errno
import gzip
import os
import shutil
import ssl
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError, URLError

import pytest
import torch

from core import data
from core.data import DataError, downloading
from tests.data.tiny import CONTENTS, CPU, TINY, flip, left_behind, put, refusal, run_all, truncate

# ---- downloading, from a server on this machine ------------------------------------------------------------------


class Mirror(BaseHTTPRequestHandler):
    """Serves what its server holds under a name, and notes who asked for what."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.gate.wait(30)
        held = self.server.held.get(self.path.lstrip("/"))
        if held is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(held)))
        self.end_headers()
        try:
            self.wfile.write(held)
        except ConnectionError:  # the reader had enough
            self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def serving(held, handler=Mirror):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.held, server.asked, server.gate = held, [], threading.Event()
    server.gate.set()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    server.address = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield server
    finally:
        server.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


PACKED = {f"{name}.gz": gzip.compress(held) for name, held in CONTENTS.items()}


@pytest.fixture
def mirror(monkeypatch, nothing_given):
    """A mirror on this machine, known to torchvision as the one of "tiny"."""
    with serving(dict(PACKED)) as server:
        publish(monkeypatch, server.address)
        yield server


def publish(monkeypatch, *mirrors):
    from torchvision import datasets

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(urllib.request, "_opener", None)  # which keeps the proxies of its first use
    monkeypatch.setattr(datasets, "Tiny", SimpleNamespace(mirrors=mirrors), raising=False)


def test_a_download_lies_where_it_is_looked_for_and_leaves_nothing_else(mirror, cache, monkeypatch):
    monkeypatch.setattr(downloading, "PART", 100)
    told = []
    data.download(TINY, told.append)
    assert sorted(left_behind(cache)) == sorted(cache / "data" / "Tiny" / "raw" / name for name in CONTENTS)
    assert list((cache / "data").iterdir()) == [cache / "data" / "Tiny"]
    assert data.load(TINY, CPU).source == str(cache / "data" / "Tiny" / "raw")
    assert told == sorted(told)
    assert 0 < told[0] < 0.2
    assert len(told) > 5
    assert told[-1] == 1.0


def test_what_is_whole_is_not_downloaded_again(mirror, cache, named):
    put(named)
    told = []
    data.download(TINY, told.append)
    assert told == [1.0]
    assert mirror.asked == []
    assert not cache.exists()


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink], ids=["flipped", "truncated", "removed"])
def test_a_download_mends_a_damaged_set(mirror, cache, damage):
    damage(put(cache / "data") / "t10k-images")
    data.download(TINY, lambda share: None)
    assert len(data.load(TINY, CPU).y_test) == 10


def test_a_download_never_writes_into_the_named_folder(mirror, cache, named):
    data.download(TINY, lambda share: None)
    assert list(named.iterdir()) == []
    assert data.load(TINY, CPU).source.startswith(str(cache))


FAILURES = {
    "not there": (lambda held: None, "cannot be read (HTTP Error 404: Not Found); check the network"),
    "a login page": (
        lambda held: b"\n<html>Welcome</html>",
        "a web page instead of the file; open any page in a browser",
    ),
    "cut short": (lambda held: held[: len(held) // 2], "broke off after"),
    "other bytes": (lambda held: gzip.compress(b"\0" * 16), "does not hold the bytes that were published"),
    "without end": (lambda held: gzip.compress(b"\0" * 10**7), "does not hold the bytes that were published"),
    "broken inside": (lambda held: held[:10] + bytes(len(held) - 10), "sent what is no gzip file; try again"),
    "empty": (lambda held: b"", "broke off after 0 of"),
}


@pytest.mark.parametrize("victim", ["train-images", "t10k-labels"])
@pytest.mark.parametrize("kind", FAILURES)
def test_a_failed_download_is_a_sentence_and_leaves_nothing_behind(mirror, cache, kind, victim):
    spoil, said = FAILURES[kind]
    mirror.held[f"{victim}.gz"] = spoil(mirror.held[f"{victim}.gz"])
    with pytest.raises(DataError) as refused:
        data.download(TINY, lambda share: None)
    asked = "127.0.0.1" if kind == "a login page" else f"{mirror.address}{victim}.gz"
    assert str(refused.value).startswith(f"tiny could not be downloaded: {asked} ")
    assert said in str(refused.value)
    assert str(refused.value).endswith(
        ", put train-images.gz, train-labels.gz, t10k-images.gz and t10k-labels.gz into a folder that "
        "GRADIENT_LAB_DATA names, or choose dataset = digits, which needs no download."
    )
    assert refused.value.__cause__ is not None
    assert left_behind(cache) == []
    assert not data.available(TINY)
    mirror.held.update(PACKED)
    data.download(TINY, lambda share: None)
    assert data.available(TINY)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (URLError(OSError(-2, "Name or service not known")), "(Name or service not known)"),
        (URLError("no host given"), "no host given"),
        (TimeoutError("timed out"), "(timed out)"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "(Connection reset by peer)"),
    ],
)
def test_no_network_is_a_sentence(mirror, monkeypatch, cache, error, said):
    def refuse(*_, timeout):
        assert 0 < timeout < 60
        raise error

    monkeypatch.setattr(downloading, "urlopen", refuse)
    sentence = refusal(data.download, TINY, lambda share: None)
    assert said in sentence
    assert left_behind(cache) == []


def test_the_next_mirror_is_asked_where_one_fails_and_the_bar_never_falls(mirror, monkeypatch):
    monkeypatch.setattr(downloading, "PART", 50)
    cut = {name: held[: len(held) - 20] for name, held in PACKED.items()}
    with serving(cut) as first:
        publish(monkeypatch, first.address, mirror.address)
        told = []
        data.download(TINY, told.append)
    assert len(first.asked) == len(mirror.asked) == len(CONTENTS)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert data.load(TINY, CPU)


@pytest.mark.parametrize("nth", [0, 1, 3])
def test_a_full_disk_is_a_sentence_and_leaves_nothing_behind(mirror, monkeypatch, cache, nth):
    write, written = Path.write_bytes, []

    def fill(path, held):
        written.append(path)
        if len(written) > nth:
            write(path, held[:10])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write(path, held)

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", fill)
        sentence = refusal(data.download, TINY, lambda share: None)
    assert sentence == (
        f"tiny could not be stored in {cache}/data (No space left on device); make room there, point "
        "GRADIENT_LAB_CACHE elsewhere, or choose dataset = digits, which needs no download."
    )
    assert left_behind(cache) == []
    data.download(TINY, lambda share: None)
    assert data.available(TINY)


@pytest.mark.parametrize("nth", range(len(CONTENTS)))
def test_a_move_that_fails_half_way_never_counts_as_a_set(mirror, monkeypatch, nth):
    replace, moved = os.replace, []

    def fail(old, new):
        moved.append(new)
        if len(moved) > nth:
            raise OSError(errno.EIO, "Input/output error", str(new))
        replace(old, new)

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", fail)
        assert "could not be stored" in refusal(data.download, TINY, lambda share: None)
    assert not data.available(TINY)
    data.download(TINY, lambda share: None)
    assert data.load(TINY, CPU)


def test_a_cache_that_cannot_be_made_is_a_sentence(mirror, cache):
    cache.write_text("a file where the folder should be")
    assert "could not be stored" in refusal(data.download, TINY, lambda share: None)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, BrokenPipeError])
def test_whoever_watches_can_stop_the_download(mirror, cache, stop):
    def watch(share):
        raise stop

    with pytest.raises(stop):
        data.download(TINY, watch)
    assert left_behind(cache) == []
    data.download(TINY, lambda share: None)
    assert data.available(TINY)


def test_readers_who_press_together_share_one_download(mirror):
    mirror.gate.clear()
    told = [[] for _ in range(4)]
    waiting = threading.Barrier(5)

    def press(mine):
        def tell(share):
            if not mine and share < 1:
                waiting.wait(30)  # three wait for the first, who waits for the mirror
            mine.append(share)

        data.download(TINY, tell)

    def open_the_mirror():
        while waiting.n_waiting < 3:
            threading.Event().wait(0.01)
        mirror.gate.set()
        waiting.wait(30)

    run_all(*[lambda mine=mine: press(mine) for mine in told], open_the_mirror)
    assert len(mirror.asked) == len(CONTENTS)
    for shares in told:
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


def test_readers_who_waited_for_a_download_that_failed_are_told_so(mirror):
    mirror.gate.clear()
    mirror.held.clear()
    waits, said = threading.Event(), []

    def press():
        said.append(refusal(data.download, TINY, lambda share: waits.set()))

    def open_the_mirror():
        assert waits.wait(30)
        mirror.gate.set()

    run_all(press, press, open_the_mirror)
    assert len(set(said)) == 1
    assert len(said) == 2
    assert len(mirror.asked) == 1, "the second did not try for itself"


def test_without_torchvision_a_download_is_a_sentence_and_reading_works(named, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    sentence = refusal(data.download, TINY, lambda share: None)
    assert "torchvision cannot be imported" in sentence
    assert torch.__version__ in sentence
    put(named)
    assert data.load(TINY, CPU)


@pytest.mark.parametrize("name", [name for name in data.NAMES if data.SOURCES[name].files])
def test_torchvision_knows_every_file_that_is_asked_of_its_mirrors(name):
    from torchvision import datasets

    theirs = getattr(datasets, data.SOURCES[name].published)
    assert [f"{file.name}.gz" for file in data.SOURCES[name].files] == [packed for packed, _ in theirs.resources]
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in theirs.mirrors)


# ---- the true cause of a failure, and the next move --------------------------------------------------------------

NO_CERTIFICATE = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
NO_CERTIFICATE.verify_message = "unable to get local issuer certificate"
UNKNOWN_HOST = URLError(OSError(-2, "Name or service not known"))
CAUSES = {
    "certificate": (
        [URLError(NO_CERTIFICATE), HTTPError("http://old/", 404, "Not Found", None, None)],
        "the certificate that answered for first.example cannot be verified (unable to get local issuer certificate); "
        "check this machine's clock, and where your school or company inspects encrypted connections, set SSL_CERT_",
    ),
    "no network": ([UNKNOWN_HOST, UNKNOWN_HOST], "(Name or service not known); check the network"),
    "the first mirror is busy": (
        [HTTPError("https://first/", 503, "Service Unavailable", None, None), UNKNOWN_HOST],
        "https://first.example/train-images.gz cannot be read (HTTP Error 503: Service Unavailable); try again later",
    ),
    "forbidden": (
        [HTTPError("https://first/", 403, "Forbidden", None, None), UNKNOWN_HOST],
        "(HTTP Error 403: Forbidden); check the network",
    ),
    "silent": ([TimeoutError("timed out"), UNKNOWN_HOST], "cannot be read (timed out); check the network"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_first_mirrors_failure_is_told_and_what_to_do_about_it(monkeypatch, nothing_given, cause):
    errors, said = CAUSES[cause]
    publish(monkeypatch, "https://first.example/", "http://old.example/")
    waiting = iter(errors)

    def refuse(*_, timeout):
        raise next(waiting)

    monkeypatch.setattr(downloading, "urlopen", refuse)
    sentence = refusal(data.download, TINY, lambda share: None)
    assert said in sentence
    assert "old.example" not in sentence
    assert "put train-images.gz, train-labels.gz, t10k-images.gz and t10k-labels.gz into a folder" in sentence


def test_a_certificate_that_nobody_vouches_for_is_told_as_such(monkeypatch, nothing_given, tmp_path):
    """A real server with a certificate of its own, as behind a proxy that opens connections."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here, which makes the certificate")
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    made = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    with serving(dict(PACKED)) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        publish(monkeypatch, f"https://127.0.0.1:{server.server_port}/")
        sentence = refusal(data.download, TINY, lambda share: None)
    assert "the certificate that answered for 127.0.0.1 cannot be verified (" in sentence


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_is_told_as_such_without_its_password(monkeypatch, nothing_given, status):
    class Refusing(Mirror):
        def do_CONNECT(self):
            self.send_error(status)

        do_GET = do_CONNECT

    with serving({}, Refusing) as proxy:
        publish(monkeypatch, "https://first.example/")
        monkeypatch.setenv("https_proxy", proxy.address.replace("://", "://me:secret@"))
        sentence = refusal(data.download, TINY, lambda share: None)
        assert f"cannot be read through the proxy 127.0.0.1:{proxy.server_port}" in sentence
        assert str(status) in sentence
        assert "check the proxy in https_proxy and http_proxy" in sentence
        assert "secret" not in sentence


def test_a_proxy_that_is_not_there_is_told_as_such(monkeypatch, nothing_given):
    publish(monkeypatch, "http://first.example/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # the port that discards, where nothing listens
    sentence = refusal(data.download, TINY, lambda share: None)
    assert "through the proxy 127.0.0.1:9 (Connection refused); check the proxy" in sentence


def test_the_files_that_the_sentence_asks_for_are_taken(named, monkeypatch):
    monkeypatch.setattr(downloading, "_mirrors", lambda *_: ["http://127.0.0.1:9/"])
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    sentence = refusal(data.download, TINY, lambda share: None)
    asked = sentence.partition("put ")[2].partition(" into")[0].replace(" and ", ", ").split(", ")
    assert sorted(asked) == sorted(PACKED)
    for name in asked:
        (named / name).write_bytes(PACKED[name])
    assert data.load(TINY, CPU)
