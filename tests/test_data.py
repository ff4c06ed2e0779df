"""Data sets: what they hold, how they fail, how they are fetched, and what is made of them."""

import errno
import gzip
import hashlib
import os
import struct
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from core import data
from core.data import DataError, File, Source

CPU = torch.device("cpu")
TINY = "tiny"


# ---- a small set of the same make, to be damaged and downloaded --------------------------------------------------


def idx(values):
    """An array as an idx file of bytes."""
    values = np.asarray(values, dtype=np.uint8)
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


RNG = np.random.default_rng(3)
PICTURES, LABELS = RNG.integers(0, 256, (40, 5, 4)), RNG.integers(0, 3, 40)
CONTENTS = {
    "train-images": idx(PICTURES[:30]),
    "train-labels": idx(LABELS[:30]),
    "t10k-images": idx(PICTURES[30:]),
    "t10k-labels": idx(LABELS[30:]),
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Forty pictures called "tiny", published nowhere yet."""
    files = tuple(File(name, len(held), hashlib.sha256(held).hexdigest()) for name, held in CONTENTS.items())
    source = Source(data._read_idx, ("a", "b", "c"), (1, 5, 4), "Noise.", "Tiny", files)
    monkeypatch.setitem(data.SOURCES, TINY, source)
    monkeypatch.setattr(data, "_turns", {})


@pytest.fixture
def named(tmp_path, monkeypatch):
    """An empty folder named by GRADIENT_LAB_DATA."""
    folder = tmp_path / "named"
    folder.mkdir()
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(folder))
    return folder


@pytest.fixture
def nothing_given(monkeypatch):
    monkeypatch.delenv("GRADIENT_LAB_DATA", raising=False)


def put(root: Path) -> Path:
    """Lay the small set under `root`, as torchvision would; returns the folder of its files."""
    folder = root / "Tiny" / "raw"
    folder.mkdir(parents=True)
    for name, held in CONTENTS.items():
        (folder / name).write_bytes(held)
    return folder


def refusal(call, *arguments) -> str:
    """The one sentence with which `call` refuses."""
    with pytest.raises(DataError) as refused:
        call(*arguments)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def left_behind(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


# ---- the real sets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "digits"])
def test_sizes_are_told_without_loading_and_are_those_of_the_loaded_set(name, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(data, "load", None)
        told = data.sizes(name)
    if data.available(name):
        loaded = data.load(name, CPU)
        assert told == (len(loaded.y_train), len(loaded.y_test))


@pytest.mark.parametrize(("name", "published"), [("fashion-mnist", "FashionMNIST"), ("mnist", "MNIST")])
def test_a_real_set_is_what_torchvision_reads(real_data, name, published):
    from torchvision import datasets

    loaded = data.load(name, CPU)
    root = Path(loaded.source).parents[1]
    for train, x, y in ((True, loaded.x_train, loaded.y_train), (False, loaded.x_test, loaded.y_test)):
        theirs = getattr(datasets, published)(root, train=train)
        assert torch.equal(x.view(-1, *loaded.shape).squeeze(1), theirs.data)
        assert torch.equal(y, theirs.targets)
        assert (x.dtype, y.dtype) == (torch.uint8, torch.int64)
    assert loaded.x_train.shape == (60_000, 784)
    assert loaded.x_test.shape == (10_000, 784)
    if name == "fashion-mnist":
        assert list(loaded.classes) == theirs.classes


def test_fashion_mnist_has_as_many_of_each_class(real_data):
    loaded = data.load("fashion-mnist", CPU)
    assert loaded.y_train.bincount().tolist() == [6000] * 10
    assert loaded.y_test.bincount().tolist() == [1000] * 10


def test_mnist_has_the_published_count_of_each_digit(real_data):
    loaded = data.load("mnist", CPU)
    assert loaded.y_train.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert loaded.y_test.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_scaling_per_pixel_makes_the_outliers_of_the_notebook_and_global_scaling_none(real_data):
    loaded = data.load("fashion-mnist", CPU)
    x, _ = data.subset(loaded, 6000, seed=1)
    train, test = data.scale(x, loaded.x_test, "per pixel")
    assert 60 < train.abs().max() < 80  # at most √6000 = 77.5, where one example alone lights a pixel
    assert test.abs().max() > 300
    squares = train.square().sum(dim=1)
    assert squares.max() > 15 * squares.mean()
    train, test = data.scale(x, loaded.x_test, "global")
    assert max(train.abs().max(), test.abs().max()) < 3


# ---- digits ------------------------------------------------------------------------------------------------------


def test_digits_are_those_of_scikit_learn_split_alike_in_every_class():
    loaded = data.load("digits", CPU)
    pixels, classes = load_digits(return_X_y=True)
    rows = torch.cat([loaded.x_train, loaded.x_test]).numpy()
    labels = torch.cat([loaded.y_train, loaded.y_test]).numpy()
    ours = sorted(map(tuple, np.column_stack([rows, labels])))
    assert ours == sorted(map(tuple, np.column_stack([pixels, classes]).astype(int)))
    assert (len(loaded.y_train), len(loaded.y_test)) == (1501, 296)
    assert ((6 * loaded.y_test.bincount() - torch.from_numpy(np.bincount(classes))).abs() < 6).all()
    sixth_zero = torch.from_numpy(pixels[classes == 0][5]).to(torch.uint8)
    assert torch.equal(loaded.x_test[loaded.y_test == 0][0], sixth_zero)
    assert (loaded.x_train.dtype, loaded.y_train.dtype) == (torch.uint8, torch.int64)
    assert (loaded.shape, loaded.source, len(loaded.classes)) == ((1, 8, 8), "embedded", 10)


def test_digits_need_no_folder_and_no_download(named, cache):
    assert data.available("digits")
    assert not data.may_download("digits")
    told = []
    data.download("digits", told.append)
    assert told == [1.0]
    assert not cache.exists()


# ---- finding and reading -----------------------------------------------------------------------------------------


def test_a_set_is_read_from_the_folder_that_is_named(named):
    folder = put(named)
    assert data.available(TINY)
    loaded = data.load(TINY, CPU)
    assert torch.equal(loaded.x_train, torch.from_numpy(PICTURES[:30].reshape(30, 20)).to(torch.uint8))
    assert torch.equal(loaded.x_test.view(-1, *loaded.shape)[3, 0], torch.from_numpy(PICTURES[33]).to(torch.uint8))
    assert loaded.y_train.tolist() == LABELS[:30].tolist()
    assert loaded.y_test.tolist() == LABELS[30:].tolist()
    assert loaded.source == str(folder)


def test_the_cache_is_read_where_no_folder_is_named_and_where_the_named_one_lacks_the_set(cache, monkeypatch, tmp_path):
    folder = put(cache / "data")
    for folder_named in ("", str(tmp_path / "nowhere")):
        monkeypatch.setenv("GRADIENT_LAB_DATA", folder_named)
        assert data.available(TINY)
        assert data.load(TINY, CPU).source == str(folder)


def test_the_named_folder_comes_first(named, cache):
    put(cache / "data")
    folder = put(named)
    assert data.load(TINY, CPU).source == str(folder)


def test_a_set_is_prepared_once_for_each_device_and_folder(named, tmp_path, monkeypatch):
    put(named)
    first = data.load(TINY, CPU)
    assert data.load(TINY, torch.device("cpu")) is first
    other = data.load(TINY, torch.device("meta"))
    assert other is not first
    assert other.x_train.device.type == "meta"
    put(tmp_path / "moved")
    monkeypatch.setenv("GRADIENT_LAB_DATA", str(tmp_path / "moved"))
    assert data.load(TINY, CPU) is not first


def test_threads_that_ask_at_once_get_one_object(named, monkeypatch):
    put(named)
    reads = []
    fromfile = np.fromfile
    monkeypatch.setattr(np, "fromfile", lambda *args, **kwargs: reads.append(1) or fromfile(*args, **kwargs))
    gate, got = threading.Barrier(8), []

    def ask():
        gate.wait()
        got.append(data.load(TINY, CPU))

    run_all(*[ask] * 8)
    assert len(got) == 8
    assert len(set(map(id, got))) == 1
    assert len(reads) == len(CONTENTS)


def run_all(*work):
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_set_goes_to_the_gpu_as_it_is():
    cuda = torch.device("cuda")
    there, here = data.load("digits", cuda), data.load("digits", CPU)
    assert there.x_train.is_cuda
    for ours, theirs in zip(data.subset(there, 100, 4), data.subset(here, 100, 4), strict=True):
        assert torch.equal(ours.cpu(), theirs)
    assert torch.equal(
        data.corrupt_labels(there.y_train, 0.4, 10, 4).cpu(), data.corrupt_labels(here.y_train, 0.4, 10, 4)
    )
    for ours, theirs in zip(
        data.scale(there.x_train, there.x_test, "global"), data.scale(here.x_train, here.x_test, "global"), strict=True
    ):
        torch.testing.assert_close(ours.cpu(), theirs)


# ---- missing and damaged -----------------------------------------------------------------------------------------


def test_a_missing_set_is_a_sentence_with_where_and_what_next(named, cache):
    assert not data.available(TINY)
    sentence = refusal(data.load, TINY, CPU)
    assert sentence == (
        f"tiny is not on this machine, where it was looked for in {named}/Tiny/raw or in {cache}/data/Tiny/raw; "
        'download it with "python -m core data get tiny", point GRADIENT_LAB_DATA at a folder that has it, '
        "or choose dataset = digits, which needs no download."
    )
    assert not cache.exists(), "load never downloads"


def test_a_file_where_the_folder_should_be_is_a_missing_set(named, cache):
    (named / "Tiny").write_text("not a folder")
    assert not data.available(TINY)
    assert "is not on this machine" in refusal(data.load, TINY, CPU)


@pytest.mark.parametrize(
    "call",
    [lambda name: data.load(name, CPU), data.available, data.may_download, lambda name: data.download(name, print)],
)
@pytest.mark.parametrize("name", ["", "cifar-10", "../mnist", "MNIST", "y" * 300, "mnist\n"])
def test_an_unknown_set_is_a_sentence_with_those_there_are(call, name):
    sentence = refusal(call, name)
    assert sentence.endswith("is unknown; choose fashion-mnist, mnist, cifar10 or digits.")
    assert len(sentence) < 150


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)


def become_a_folder(path):
    path.unlink()
    path.mkdir()


DAMAGE = {
    "truncated": (truncate, "bytes instead of"),
    "empty": (lambda path: path.write_bytes(b""), "has 0 bytes instead of"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "bytes instead of"),
    "flipped": (flip, "does not hold the bytes that were published"),
    "removed": (Path.unlink, "cannot be read (No such file or directory)"),
    "a folder": (become_a_folder, str(Path("raw"))),
}


@pytest.mark.parametrize("victim", CONTENTS)
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_set_is_a_sentence_that_names_the_file(named, cache, kind, victim):
    folder = put(named)
    damage, said = DAMAGE[kind]
    damage(folder / victim)
    sentence = refusal(data.load, TINY, CPU)
    assert sentence.startswith(f"tiny cannot be used: {folder / victim} ")
    assert said in sentence
    assert sentence.endswith(
        'download it anew with "python -m core data get tiny", or choose dataset = digits, which needs no download.'
    )
    assert data.available(TINY) == (kind == "flipped"), "sizes are seen at once, bytes when they are read"


def test_a_damaged_set_in_the_named_folder_does_not_hide_a_good_one_in_the_cache(named, cache):
    flip(put(named) / "train-labels")
    good = put(cache / "data")
    assert data.load(TINY, CPU).source == str(good)


def test_a_file_that_may_not_be_read_is_a_sentence(named, monkeypatch):
    folder = put(named)

    def refuse(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(np, "fromfile", refuse)
    assert f"{folder}/train-images cannot be read (Permission denied)" in refusal(data.load, TINY, CPU)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_may_not_be_entered_is_a_sentence(named):
    folder = put(named)
    folder.chmod(0)
    try:
        assert not data.available(TINY)
        assert "cannot be read (Permission denied)" in refusal(data.load, TINY, CPU)
    finally:
        folder.chmod(0o755)


def test_a_folder_whose_files_may_not_be_looked_at_is_no_missing_set(named, monkeypatch):
    put(named)

    def refuse(path, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    assert not data.available(TINY)
    assert "cannot be read (Permission denied)" in refusal(data.load, TINY, CPU)


def test_a_run_may_fetch_a_set_unasked_only_into_the_cache(named, monkeypatch, cache):
    assert not data.may_download(TINY), "the reader named a folder"
    monkeypatch.delenv("GRADIENT_LAB_DATA")
    assert data.may_download(TINY)
    put(cache / "data")
    assert not data.may_download(TINY), "it is here"


# ---- what is said of a set ---------------------------------------------------------------------------------------


def test_status_says_what_is_here_and_what_to_do(named, cache):
    digits = data.status("digits")
    assert (digits.found, digits.where, digits.examples, digits.hint) == (True, "embedded", (1501, 296), "")
    loaded = data.load("digits", CPU)
    assert (len(loaded.y_train), len(loaded.y_test)) == digits.examples
    missing = data.status(TINY)
    assert (missing.found, missing.undecoded, missing.where, missing.examples) == (False, False, "", None)
    assert missing.sentence == refusal(data.require, TINY)
    assert str(named) in missing.message
    assert "data get tiny" in missing.hint
    folder = put(named)
    here = data.status(TINY)
    assert (here.found, here.where, here.hint) == (True, str(folder), "")
    assert here.sentence == here.message == f"tiny is read from {folder}."


def test_the_status_of_every_set_is_told_in_their_order():
    assert [each.name for each in data.statuses()] == list(data.NAMES)


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
def serving(held):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
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
    monkeypatch.setattr(datasets, "Tiny", SimpleNamespace(mirrors=mirrors), raising=False)


def test_a_download_lies_where_it_is_looked_for_and_leaves_nothing_else(mirror, cache, monkeypatch):
    monkeypatch.setattr(data, "PART", 100)
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
    "not there": (lambda held: None, "HTTP Error 404: Not Found"),
    "a login page": (lambda held: b"<html>Welcome to our network</html>", "Not a gzipped file"),
    "cut short": (lambda held: held[: len(held) // 2], "end-of-stream"),
    "other bytes": (lambda held: gzip.compress(b"\0" * 16), "does not hold the bytes that were published"),
    "without end": (lambda held: gzip.compress(b"\0" * 10**7), "does not hold the bytes that were published"),
    "broken inside": (lambda held: held[:10] + bytes(len(held) - 10), "cannot be read"),
    "empty": (lambda held: b"", "does not hold the bytes that were published"),
}


@pytest.mark.parametrize("victim", ["train-images", "t10k-labels"])
@pytest.mark.parametrize("kind", FAILURES)
def test_a_failed_download_is_a_sentence_and_leaves_nothing_behind(mirror, cache, kind, victim):
    spoil, said = FAILURES[kind]
    mirror.held[f"{victim}.gz"] = spoil(mirror.held[f"{victim}.gz"])
    with pytest.raises(DataError) as refused:
        data.download(TINY, lambda share: None)
    assert str(refused.value).startswith(f"tiny could not be downloaded: {mirror.address}{victim}.gz ")
    assert said in str(refused.value)
    assert str(refused.value).endswith(
        "; check the network, point GRADIENT_LAB_DATA at a folder that has it, "
        "or choose dataset = digits, which needs no download."
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

    monkeypatch.setattr(data, "urlopen", refuse)
    sentence = refusal(data.download, TINY, lambda share: None)
    assert said in sentence
    assert left_behind(cache) == []


def test_the_next_mirror_is_asked_where_one_fails_and_the_bar_never_falls(mirror, monkeypatch):
    monkeypatch.setattr(data, "PART", 50)
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


# ---- preparing ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", CPU)


@settings(deadline=None, max_examples=25)
@given(n=st.integers(1, 1501), seed=st.integers(0, 2**31 - 1))
def test_a_subset_holds_distinct_examples_each_with_its_own_label(n, seed):
    digits = data.load("digits", CPU)
    ids = torch.arange(1501)
    numbered = data.Dataset("n", ids[:, None], 2 * ids, ids, ids, (), digits.shape, "", "")
    x, y = data.subset(numbered, n, seed)
    assert x.shape == (n, 1)
    assert len(x.unique()) == n
    assert torch.equal(y, 2 * x.squeeze(1))


def test_a_subset_follows_from_its_seed_and_leaves_the_global_one_alone(digits):
    before = torch.random.get_rng_state()
    one, again, other = (data.subset(digits, 200, seed) for seed in (1, 1, 2))
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    assert not torch.equal(one[1], other[1])
    assert torch.equal(torch.random.get_rng_state(), before)
    smaller = data.subset(digits, 50, 1)
    assert torch.equal(smaller[0], one[0][:50]), "fewer examples are the first of more"


def test_a_subset_draws_other_numbers_than_a_lesson_with_the_same_seed(digits):
    whole = data.subset(digits, 1501, 7)[1]
    order = torch.randperm(1501, generator=torch.Generator().manual_seed(7))
    assert not torch.equal(whole, digits.y_train[order])


@pytest.mark.parametrize("n", [0, -3, 1502])
def test_a_subset_of_impossible_size_is_a_sentence(digits, n):
    assert refusal(data.subset, digits, n, 0).startswith(f"examples = {n} is outside 1 … 1501")


def test_scaling_per_pixel_is_scikit_learns_with_bessels_correction(digits):
    x, _ = data.subset(digits, 300, 3)
    train, test = data.scale(x, digits.x_test, "per pixel")
    oracle = StandardScaler().fit(x.double().numpy())
    lit = x.float().std(dim=0) > 0  # scikit-learn leaves constant pixels unscaled
    bessel = np.sqrt(299 / 300)
    for ours, raw in ((train, x), (test, digits.x_test)):
        theirs = torch.from_numpy(oracle.transform(raw.double().numpy()) * bessel)
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours[:, lit].double(), theirs[:, lit], rtol=1e-4, atol=1e-4)
    assert (train[:, ~lit] == 0).all()


def test_scaling_per_pixel_is_the_notebooks_line(digits):
    x = digits.x_train.double()
    theirs = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)
    ours, _ = data.scale(digits.x_train, digits.x_test, "per pixel")
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


def test_global_scaling_has_one_mean_and_spread(digits):
    x = digits.x_train.numpy().astype(float)
    train, test = data.scale(digits.x_train, digits.x_test, "global")
    for ours, raw in ((train, x), (test, digits.x_test.numpy())):
        theirs = (raw - x.mean()) / (x.std(ddof=1) + 1e-6)
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["per pixel", "global"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_scaling_leaves_what_it_is_given_alone(mode, dtype):
    x = torch.arange(12, dtype=dtype).view(4, 3)
    test = x.clone()
    data.scale(x, test, mode)
    assert torch.equal(x, torch.arange(12, dtype=dtype).view(4, 3))
    assert torch.equal(test, x)


def test_scaling_of_pictures_without_light_is_zero_and_finite():
    dark = torch.zeros(5, 3, dtype=torch.uint8)
    for mode in ("per pixel", "global"):
        train, test = data.scale(dark, dark + 1, mode)
        assert (train == 0).all()
        assert test.isfinite().all()


def test_bad_scaling_is_a_sentence(digits):
    assert refusal(data.scale, digits.x_train, digits.x_test, "by ear") == (
        "scaling = by ear is unknown; choose per pixel or global."
    )
    assert "too few to scale" in refusal(data.scale, digits.x_train[:1], digits.x_test, "global")


@settings(deadline=None, max_examples=40)
@given(share=st.floats(0, 1), n=st.integers(0, 400), classes=st.integers(1, 12), seed=st.integers(0, 2**31 - 1))
def test_label_noise_redraws_no_more_than_its_share_within_the_classes(share, n, classes, seed):
    y = torch.arange(n) % classes
    noisy = data.corrupt_labels(y, share, classes, seed)
    assert torch.equal(y, torch.arange(n) % classes)
    assert noisy.dtype == torch.int64
    assert noisy is not y
    assert int((noisy != y).sum()) <= round(share * n)
    assert ((noisy >= 0) & (noisy < classes)).all()
    assert torch.equal(noisy, data.corrupt_labels(y, share, classes, seed))


def test_no_label_noise_changes_nothing_and_a_share_is_redrawn_exactly():
    absent = torch.full((10_000,), 99)  # a class that cannot be drawn: every redrawn label shows
    assert torch.equal(data.corrupt_labels(absent, 0.0, 10, 1), absent)
    for share in (0.1, 0.25, 1.0):
        noisy = data.corrupt_labels(absent, share, 10, 1)
        assert int((noisy != 99).sum()) == round(share * 10_000)


def test_redrawn_labels_are_uniform_and_may_be_true():
    y = torch.zeros(50_000, dtype=torch.int64)
    counts = data.corrupt_labels(y, 1.0, 10, 5).bincount(minlength=10).double()
    sd = (50_000 * 0.1 * 0.9) ** 0.5
    assert ((counts - 5000).abs() < 5 * sd).all()


def test_more_label_noise_keeps_the_noise_of_less():
    absent = torch.full((1000,), 99)
    less, more = (data.corrupt_labels(absent, share, 10, 8) for share in (0.2, 0.5))
    redrawn = less != 99
    assert torch.equal(more[redrawn], less[redrawn])
    assert not torch.equal(data.corrupt_labels(absent, 0.5, 10, 9), more)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_impossible_share_of_label_noise_is_a_sentence(share):
    assert "is outside 0 … 1" in refusal(data.corrupt_labels, torch.zeros(3, dtype=torch.int64), share, 10, 0)
