"""CIFAR-10 in all its forms: what is read, what is refused, and what becomes of the file that is kept."""

import hashlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core import data, places
from core.data import DataError, cifar10, downloading, images, loading
from core.data.catalogue import CIFAR10_CLASSES as CLASSES
from core.data.images import PIXELS, PictureError

CPU = torch.device("cpu")
NAME = "cifar10"
RNG = np.random.default_rng(5)
EACH = {"train": 2, "test": 1}
SEEN = {part: RNG.integers(0, 256, (10, n, 32, 32, 3), dtype=np.uint8) for part, n in EACH.items()}


def nothing(share):
    pass


def packed(pixels, kind="PNG", **options):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def promised(side):
    """A PNG that says it has that many pixels, and has none."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def files(kind="PNG"):
    """Name → bytes of thirty pictures."""
    suffix = {"PNG": "png", "JPEG": "jpg"}[kind]
    return {
        f"{part}/{of}/{i:04}.{suffix}": packed(SEEN[part][c, i], kind)
        for part, n in EACH.items()
        for c, of in enumerate(CLASSES)
        for i in range(n)
    }


def lay(folder, held):
    for name, content in held.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def member(name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, io.BytesIO(content)


def tarred(path, held, *more):
    with tarfile.open(path, "w") as tar:
        for name, content in held.items():
            tar.addfile(*member(name, content))
        for info, content in more:
            tar.addfile(info, content if info.isreg() else None)
    return path


def expected(part):
    """Pixels of the thirty pictures, one channel after another, class by class."""
    return torch.from_numpy(SEEN[part].transpose(0, 1, 4, 2, 3).reshape(-1, PIXELS).copy())


def holds_the_thirty(loaded):
    assert torch.equal(loaded.x_train, expected("train"))
    assert torch.equal(loaded.x_test, expected("test"))
    assert loaded.y_train.tolist() == [c for c in range(10) for _ in range(2)]
    assert loaded.y_test.tolist() == list(range(10))
    assert (loaded.x_train.dtype, loaded.y_train.dtype) == (torch.uint8, torch.int64)
    assert (loaded.classes, loaded.shape) == (CLASSES, (3, 32, 32))
    return True


# ---- the forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
def test_a_tar_and_a_folder_of_the_same_pictures_are_the_same_set(named, cache, order):
    held = dict(list(files().items())[::order])
    tarred(named / "cifar10-images.tar", held)
    assert holds_the_thirty(data.load(NAME, CPU))
    (named / "cifar10-images.tar").unlink()
    (cache / "data" / "cifar10.decoded").unlink()
    lay(named / "cifar10-images", held)
    (named / "cifar10-images" / "train" / "cat" / "Thumbs.db").write_text("left by a viewer")
    assert holds_the_thirty(data.load(NAME, CPU))


def test_jpegs_are_named_as_what_they_are_beside_results_and_in_the_manifest(named):
    tarred(named / "cifar10-images.tar", files("JPEG"))
    assert data.label(NAME) == NAME, "what has not been decoded has no form yet"
    assert data.sizes(NAME) == (50_000, 10_000), "as published"
    loaded = data.load(NAME, CPU)
    assert "read from JPEG-recompressed images" in loaded.note
    assert "20 to learn from and 10 for the test" in loaded.note
    assert data.label(NAME) == "cifar10 (JPEG-recompressed images, 20 and 10 of them)"
    assert data.sizes(NAME) == (len(loaded.y_train), len(loaded.y_test)) == (20, 10)
    oracle = np.asarray(Image.open(io.BytesIO(packed(SEEN["train"][3, 1], "JPEG"))).convert("RGB"))
    assert torch.equal(loaded.x_train[7].view(3, 32, 32), torch.from_numpy(oracle.transpose(2, 0, 1).copy()))


def test_a_grey_picture_becomes_three_equal_channels(named):
    held = files()
    held["train/airplane/0000.png"] = packed(SEEN["train"][0, 0, :, :, 0])
    lay(named / "cifar10-images", held)
    red, green, blue = data.load(NAME, CPU).x_train[0].view(3, -1)
    assert torch.equal(red, torch.from_numpy(SEEN["train"][0, 0, :, :, 0].reshape(-1).copy()))
    assert torch.equal(red, green)
    assert torch.equal(red, blue)


def rows(part):
    labels = np.repeat(np.arange(10, dtype=np.uint8), EACH[part])
    return labels, expected(part).numpy()


def archive(monkeypatch):
    """The thirty pictures as the published archive has its sixty thousand, and taken for it."""
    out = io.BytesIO()
    labels, pixels = rows("train")
    batches = np.split(np.column_stack([labels, pixels]), 5)
    test = np.column_stack(rows("test"))
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.addfile(*member("cifar-10-batches-bin", type=tarfile.DIRTYPE))
        for number, batch in enumerate(batches, start=1):
            tar.addfile(*member(f"cifar-10-batches-bin/data_batch_{number}.bin", batch.tobytes()))
        tar.addfile(*member("cifar-10-batches-bin/test_batch.bin", test.tobytes()))
    content = out.getvalue()
    monkeypatch.setitem(cifar10.ARCHIVES, cifar10.BINARY, (len(content), hashlib.sha256(content).hexdigest()))
    return content


def test_the_published_archive_is_read_where_it_lies_and_comes_before_pictures(named, monkeypatch):
    tarred(named / "cifar10-images.tar", files("JPEG"))
    assert "JPEG" in data.load(NAME, CPU).note
    (named / "cifar-10-binary.tar.gz").write_bytes(archive(monkeypatch))
    assert data.undecoded(NAME) == named / "cifar-10-binary.tar.gz"
    loaded = data.load(NAME, CPU)
    assert holds_the_thirty(loaded)
    assert "read from" not in loaded.note
    assert data.label(NAME).startswith("cifar10 (the published archive")


def test_an_archive_of_other_bytes_is_refused_before_it_is_opened(named, monkeypatch):
    content = bytearray(archive(monkeypatch))
    content[len(content) // 2] ^= 1
    (named / "cifar-10-binary.tar.gz").write_bytes(content)
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(DataError, match="does not hold the bytes that were published"):
        data.load(NAME, CPU)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_torchvisions_layout_is_read_and_nothing_in_it_is_run(named, monkeypatch, protocol):
    folder = named / "cifar-10-batches-py"
    folder.mkdir()
    hashes = {}

    def put(name, content):
        (folder / name).write_bytes(pickle.dumps(content, protocol))
        hashes[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()

    for i, (labels, pixels) in enumerate(zip(*[np.split(part, 5) for part in rows("train")], strict=True)):
        put(f"data_batch_{i + 1}", {"data": pixels, "labels": labels.tolist()})
    labels, pixels = rows("test")
    put("test_batch", {"data": pixels, "labels": labels.tolist()})
    (folder / "batches.meta").write_bytes(b"of no use here")
    monkeypatch.setattr(cifar10, "MD5", hashes)
    monkeypatch.setattr(pickle, "Unpickler", None)
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled"))
    monkeypatch.setattr(pickle, "loads", lambda *_, **__: pytest.fail("unpickled"))
    assert holds_the_thirty(data.load(NAME, CPU))

    (folder / "data_batch_3").write_bytes(pickle.dumps({"data": 1}))
    with pytest.raises(DataError, match="does not hold the files that were published"):
        data.load(NAME, CPU)


def test_the_pictures_of_this_machine_are_cifar10(real_data):
    path = next(iter(cifar10.candidates([real_data])), None)
    if path is None or path.suffix != ".tar":
        pytest.skip("no tar of pictures here")
    with tarfile.open(path) as tar:
        names = [entry.name for entry in tar if entry.isreg()]
    assert len(names) == 60_000
    assert {tuple(name.split("/")[:2]) for name in names} == {(part, of) for part in EACH for of in CLASSES}
    assert data.undecoded(NAME).resolve() == path.resolve()
    assert data.may_download(NAME), "decoding needs nobody's leave"


# ---- what is refused ---------------------------------------------------------------------------------------------

LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}
HOSTILE = {
    "a symbolic link": (member("train/cat/0009.png", **LINK), "no plain file"),
    "a hard link": (member("train/cat/0009.png", type=tarfile.LNKTYPE, linkname="x"), "no plain file"),
    "a device": (member("train/cat/0009.png", type=tarfile.CHRTYPE), "no plain file"),
    "an absolute name": (member("/train/cat/0009.png", b"x"), "lies neither in"),
    "a way out": (member("train/../../0009.png", b"x"), "lies neither in"),
    "another class": (member("train/unicorn/0009.png", b"x"), "lies neither in"),
    "a name that is no text": (member("tr\x1bain\n/cat/0009.png", b"x"), r"tr\\x1bain\\n/cat"),
    "a huge file": (member("train/cat/0009.png", bytes(2**20 + 1)), "too large for an image"),
    "no picture": (member("train/cat/0009.png", b"#!/bin/sh"), "is no image that can be read"),
    "half a picture": (member("train/cat/0009.png", packed(SEEN["train"][0, 0])[:300]), "is no image"),
    "another format": (member("train/cat/0009.png", packed(SEEN["train"][0, 0], "GIF")), "is no image"),
    "other sizes": (member("train/cat/0009.png", packed(np.zeros((32, 31, 3), np.uint8))), "31×32 pixels"),
    "a large promise": (member("train/cat/0009.png", promised(13_000)), "is no image"),  # of which Pillow only warns
    "a bomb": (member("train/cat/0009.png", promised(50_000)), "is no image"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_tar_is_a_sentence_and_nothing_is_written(named, cache, kind):
    more, said = HOSTILE[kind]
    tarred(named / "cifar10-images.tar", files(), more)
    with pytest.raises(DataError, match=said) as refused:
        data.load(NAME, CPU)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("cifar10 cannot be used: ")
    assert not cache.exists()
    assert [path.name for path in named.iterdir()] == ["cifar10-images.tar"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: content[: len(content) // 2], "cannot be read"),
        (lambda content: b"", "cannot be read"),
        (lambda content: b"<html>" * 500, "cannot be read"),
    ],
)
def test_a_broken_tar_is_a_sentence(named, spoil, said):
    path = tarred(named / "cifar10-images.tar", files())
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=said):
        data.load(NAME, CPU)


@pytest.mark.parametrize("missing", ["train/", "test/", "test/truck/", "train/airplane/"])
def test_a_set_that_lacks_a_class_is_refused(named, missing):
    lay(named / "cifar10-images", {name: held for name, held in files().items() if not name.startswith(missing)})
    with pytest.raises(DataError, match=f"holds no image in {missing}"):
        data.load(NAME, CPU)


def test_too_many_pictures_are_refused_before_one_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_IMAGES", 29)
    monkeypatch.setattr(images, "_decoded", lambda *_: pytest.fail("decoded"))
    with pytest.raises(PictureError, match="more than 29"):
        cifar10.decode(tarred(tmp_path / "cifar10-images.tar", files()), nothing)


# ---- what is kept ------------------------------------------------------------------------------------------------


@pytest.fixture
def tar(named):
    return tarred(named / "cifar10-images.tar", files())


@pytest.fixture
def decoding(monkeypatch):
    """Counts how often pictures are decoded."""
    calls, decode = [], cifar10.decode
    monkeypatch.setattr(cifar10, "decode", lambda path, tell: calls.append(path) or decode(path, tell))
    monkeypatch.setattr(loading, "_loaded", {})
    return calls


def forget():
    """As a new process would begin."""
    loading._loaded.clear()


def test_pictures_are_decoded_once_for_all_processes(tar, decoding, cache):
    first = data.load(NAME, CPU)
    assert data.load(NAME, CPU) is first
    forget()
    assert holds_the_thirty(data.load(NAME, CPU))
    assert len(decoding) == 1
    assert [path.name for path in (cache / "data").iterdir()] == ["cifar10.decoded"]


def test_only_what_is_decoded_is_available_and_the_way_there_is_said(tar, decoding):
    assert not data.available(NAME)
    assert data.undecoded(NAME) == tar
    with pytest.raises(DataError, match="has yet to be decoded") as refused:
        data.require(NAME)
    assert str(tar) in str(refused.value)
    assert decoding == [], "asking decodes nothing"
    told = []
    data.download(NAME, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert data.available(NAME)
    assert data.undecoded(NAME) is None
    assert not data.may_download(NAME)
    data.require(NAME)
    data.download(NAME, nothing)
    assert len(decoding) == 1


def test_a_changed_source_is_decoded_anew_in_the_same_process_too(tar, decoding):
    before = data.load(NAME, CPU)
    held = files()
    held["train/airplane/0000.png"] = packed(SEEN["train"][0, 0] ^ 255)
    tarred(tar, held)
    os.utime(tar, ns=(1, 1))  # sizes are alike, and a clock may be coarse
    assert not data.available(NAME)
    after = data.load(NAME, CPU)
    assert torch.equal(after.x_train[0], before.x_train[0] ^ 255)
    assert len(decoding) == 2


def test_a_picture_that_comes_to_a_folder_makes_it_stale_and_a_lost_source_does_not(named, decoding):
    folder = lay(named / "cifar10-images", files())
    data.load(NAME, CPU)
    (folder / "test" / "cat" / "0001.png").write_bytes(packed(SEEN["test"][0, 0]))
    assert not data.available(NAME)
    assert len(data.load(NAME, CPU).y_test) == 11
    folder.rename(named.parent / "elsewhere")
    forget()
    assert len(data.load(NAME, CPU).y_test) == 11
    assert len(decoding) == 2


def flip(path):
    held = bytearray(path.read_bytes())
    held[-40] ^= 1
    path.write_bytes(held)


def lie(path):
    line, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(json.dumps({**json.loads(line), "counts": [10, 20]}).encode() + b"\n" + rest)


DAMAGE = {
    "a flipped bit": flip,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "empty": lambda path: path.write_bytes(b""),
    "no JSON": lambda path: path.write_bytes(b"{" + path.read_bytes()),
    "other JSON": lambda path: path.write_bytes(b"[]\n" + path.read_bytes()),
    "other counts": lie,
    "gone": Path.unlink,
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("by", ["load", "download"])
def test_a_damaged_kept_file_is_made_anew(tar, decoding, cache, kind, by):
    data.load(NAME, CPU)
    DAMAGE[kind](cache / "data" / "cifar10.decoded")
    forget()
    if by == "download":
        data.download(NAME, nothing)
    loaded = data.load(NAME, CPU)
    assert loaded.y_test.tolist() == list(range(10))
    assert len(decoding) == 2


def test_a_damaged_kept_file_without_a_source_says_what_to_do(tar, cache):
    data.load(NAME, CPU)
    tar.unlink()
    flip(cache / "data" / "cifar10.decoded")
    forget()
    with pytest.raises(DataError, match='is damaged; download it anew with "python -m core data get cifar10"'):
        data.load(NAME, CPU)


def test_a_missing_set_says_where_it_was_looked_for(named, cache):
    assert not data.available(NAME)
    assert data.undecoded(NAME) is None
    for call in (data.require, lambda name: data.load(name, CPU)):
        with pytest.raises(DataError, match="is not on this machine") as refused:
            call(NAME)
        assert str(named) in str(refused.value)
        assert str(cache) in str(refused.value)


def test_a_disk_without_room_is_a_sentence_and_leaves_nothing_behind(tar, cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", full)
        with pytest.raises(DataError, match=r"could not be stored in .* \(No space left on device\); make room"):
            data.load(NAME, CPU)
    assert list((cache / "data").iterdir()) == []
    assert holds_the_thirty(data.load(NAME, CPU))


def test_whoever_watches_can_stop_the_decoding(tar, cache):
    def watch(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.download(NAME, watch)
    assert not cache.exists()
    data.download(NAME, nothing)
    assert data.available(NAME)


TWICE = """
from pathlib import Path
from core.data import cifar10, decoded
source, kept = Path({!r}), Path({!r})
for _ in range(10):
    decoded.keep(kept, cifar10.decode(source, lambda share: None), cifar10.fingerprint(source))
    decoded.contents(kept)
"""


def test_processes_that_decode_at_once_leave_one_whole_file(tar, cache):
    code = TWICE.format(str(tar), str(cache / "data" / "cifar10.decoded"))
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=places.ROOT) for _ in range(2)]
    assert [each.wait(timeout=120) for each in running] == [0, 0]
    assert [path.name for path in (cache / "data").iterdir()] == ["cifar10.decoded"]
    assert holds_the_thirty(data.load(NAME, CPU))


# ---- downloading -------------------------------------------------------------------------------------------------


def test_the_published_archive_is_downloaded_and_kept_decoded_only(named, cache, monkeypatch):
    content = archive(monkeypatch)
    asked = []
    monkeypatch.setattr(downloading, "PART", 5000)
    monkeypatch.setattr(
        downloading, "urlopen", lambda request, timeout: asked.append(request.full_url) or io.BytesIO(content)
    )
    told = []
    data.download(NAME, told.append)
    assert asked == [cifar10.ADDRESS]
    assert told == sorted(told)
    assert len(told) > 5
    assert holds_the_thirty(data.load(NAME, CPU))
    assert list(named.iterdir()) == []
    assert [path.name for path in (cache / "data").iterdir()] == ["cifar10.decoded"]
    tarred(named / "cifar10-images.tar", files("JPEG"))
    assert data.available(NAME), "what was published is better than what was recompressed"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda held: held[:-7], "broke off after"),
        (lambda held: b"<html>login</html>", "a web page instead of the file; open any page in a browser"),
        (lambda held: held * 3, "does not hold the bytes that were published"),
        (lambda held: held[:-1] + b"x", "does not hold the bytes that were published"),
    ],
)
def test_a_download_of_other_bytes_is_a_sentence(named, cache, monkeypatch, spoil, said):
    content = spoil(archive(monkeypatch))
    monkeypatch.setattr(downloading, "urlopen", lambda request, timeout: io.BytesIO(content))
    with pytest.raises(DataError, match=f"could not be downloaded: .*{said}"):
        data.download(NAME, nothing)
    assert not cache.exists()


# ---- as people have it -------------------------------------------------------------------------------------------

JUNK = {
    "train/cat/._0000.png": b"\0\5\26\7",
    "train/cat/.DS_Store": b"Bud1",
    "train/cat/Thumbs.db": b"x",
    "test/desktop.ini": b"x",
    "__MACOSX/train/cat/0000.png": b"x",
    "train/@eaDir/cat/0000.png": b"x",
    "train/cat/@eaDir/0000.png": b"x",
    ".git/train/cat/0000.png": b"x",
    "README.md": b"x",
    "labels.txt": b"x",
    "preview.png": b"x",
}
LEADING = ["", "./", "cifar10-images/", "./a/b/", "CIFAR 10 (1)/"]


def zipped(path, held):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    return path


def packed_tar(path, held):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in held.items():
            tar.addfile(*member(name, content))
    return path


CONTAINERS = {
    "cifar10-images.tar": tarred,
    "cifar10-images.tar.gz": packed_tar,
    "cifar10.tgz": packed_tar,
    "CIFAR-10.ZIP": zipped,
    "cifar_10_png.zip": zipped,
    "cifar10-images": lay,
    "CIFAR-10": lay,
    "images": lay,
}


@pytest.mark.parametrize("leading", LEADING)
@pytest.mark.parametrize("called", CONTAINERS)
def test_leftovers_are_ignored_and_leading_folders_taken_in_every_container(named, called, leading):
    held = {f"{leading}{name}": content for name, content in {**JUNK, **files()}.items()}
    (named / "cifar10-empty").mkdir()
    CONTAINERS[called](named / called, held)
    assert holds_the_thirty(data.load(NAME, CPU))
    assert data.status(NAME).examples == (20, 10)


def test_names_in_capitals_and_both_formats_at_once_are_taken(named):
    held = {name.replace(".png", ".PNG").replace("train/cat", "Train/Cat"): image for name, image in files().items()}
    held["test/dog/0000.JPEG"] = packed(SEEN["test"][5, 0], "JPEG")
    lay(named / "cifar10", held)
    loaded = data.load(NAME, CPU)
    assert torch.equal(loaded.x_train.sort(dim=0).values, expected("train").sort(dim=0).values)
    assert len(loaded.y_test) == 11
    assert "JPEG" in loaded.note


@pytest.mark.parametrize("spelled", ["cifar10-images", "cifar10-images/train", "cifar10-images.tar"])
def test_the_variable_may_name_the_set_itself(named, monkeypatch, spelled):
    lay(named / "cifar10-images", files())
    tarred(named / "cifar10-images.tar", files())
    monkeypatch.setenv("GRADIENT_LAB_DATA", f'"{named / spelled}" ')
    if spelled.endswith("train"):
        assert data.undecoded(NAME) is None
        assert "is not on this machine" in data.status(NAME).message
    else:
        assert holds_the_thirty(data.load(NAME, CPU))


def binary_batches():
    """Name → bytes of the thirty images, as CIFAR-10's binary version has them."""
    labels, pixels = rows("train")
    batches = {f"data_batch_{i + 1}.bin": part for i, part in enumerate(np.split(np.column_stack([labels, pixels]), 5))}
    return {name: part.tobytes() for name, part in {**batches, "test_batch.bin": np.column_stack(rows("test"))}.items()}


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "CIFAR10/raw", "."])
def test_the_binary_batches_are_read_and_it_is_said_that_no_hash_was_published(named, folder):
    lay(named / folder, {**binary_batches(), "batches.meta.txt": b"x", "readme.html": b"x", ".DS_Store": b"x"})
    loaded = data.load(NAME, CPU)
    assert holds_the_thirty(loaded)
    assert "binary batch files, for which there is no published hash" in loaded.note


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda held: held.pop("data_batch_3.bin"), "lacks data_batch_3.bin"),
        (lambda held: held.update({"test_batch.bin": held["test_batch.bin"][:-5]}), "no multiple of 3073; it is cut"),
        (lambda held: held.update({"test_batch.bin": b""}), "has 0 bytes"),
        (lambda held: held.update({"test_batch.bin": b"\xff" * 3073}), "other labels than the ten classes"),
    ],
)
def test_batches_that_cannot_be_used_are_a_sentence(named, spoil, said):
    held = binary_batches()
    spoil(held)
    lay(named / "cifar-10-batches-bin", held)
    with pytest.raises(DataError, match=said):
        data.load(NAME, CPU)
    assert said in data.status(NAME).message
    assert data.undecoded(NAME) is None, "what failed is not offered again, a download is"


def pickled_batches(monkeypatch):
    labels, pixels = rows("train")
    parts = zip(np.split(labels, 5), np.split(pixels, 5), strict=True)
    held = {f"data_batch_{i + 1}": {b"data": part, b"labels": one.tolist()} for i, (one, part) in enumerate(parts)}
    labels, pixels = rows("test")
    held = {
        name: pickle.dumps(each)
        for name, each in {**held, "test_batch": {b"data": pixels, b"labels": labels.tolist()}}.items()
    }
    monkeypatch.setattr(cifar10, "MD5", {name: hashlib.md5(content).hexdigest() for name, content in held.items()})
    return held


@pytest.mark.parametrize(
    "folder", ["cifar-10-batches-py", "CIFAR10/cifar-10-batches-py", "x/cifar-10-batches-py-target/y"]
)
def test_the_pickled_batches_are_read_wherever_they_lie(named, monkeypatch, folder):
    lay(named / folder, {**pickled_batches(monkeypatch), "batches.meta": b"x", "readme.html": b"x"})
    loaded = data.load(NAME, CPU)
    assert holds_the_thirty(loaded)
    assert "read from" not in loaded.note


@pytest.mark.parametrize("called", ["cifar-10-python.tar.gz", "CIFAR-10-PYTHON.TAR.GZ", "cifar-10-batches-py.tar.gz"])
def test_the_archive_of_pickles_is_read_without_running_them(named, monkeypatch, called):
    held = {f"cifar-10-batches-py/{name}": content for name, content in pickled_batches(monkeypatch).items()}
    content = packed_tar(named / called, held).read_bytes()
    told = (len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(cifar10.ARCHIVES, "cifar-10-python.tar.gz", told)
    assert holds_the_thirty(data.load(NAME, CPU))
    assert data.label(NAME).startswith("cifar10 (the published archive")


def test_another_archive_under_the_published_name_is_refused_and_the_next_form_used(named, monkeypatch):
    (named / "cifar-10-python.tar.gz").write_bytes(b"x" * 500)
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz has 500 bytes instead of 170498071"):
        data.load(NAME, CPU)
    tarred(named / "cifar10-images.tar", files())
    assert data.undecoded(NAME) == named / "cifar10-images.tar"
    assert holds_the_thirty(data.load(NAME, CPU))
    forget()
    loading._failed.clear()  # as another process begins
    assert data.available(NAME), "what is kept stays good, though what was better is still there and broken"


def test_cifar_100_is_not_cifar_10(named):
    lay(named / "cifar-100-python", {"train": b"x", "test": b"x"})
    (named / "cifar-100-python.tar.gz").write_bytes(b"x")
    lay(named / "cats-and-dogs", {f"train/{name}/1.png": b"x" for name in ("cat", "dog")})
    assert "is not on this machine" in data.status(NAME).message


@pytest.mark.parametrize("damage", [lambda held: held[: len(held) // 2], lambda held: b"", lambda held: b"<html>"])
@pytest.mark.parametrize("called", ["cifar10.zip", "cifar10.tar.gz", "cifar10.tar"])
def test_a_broken_archive_is_a_sentence_in_every_form(named, called, damage):
    path = CONTAINERS.get(called, {".zip": zipped, ".gz": packed_tar, ".tar": tarred}[Path(called).suffix])(
        named / called, files()
    )
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=f"cifar10 cannot be used: .*{called}"):
        data.load(NAME, CPU)


def test_a_locked_zip_is_a_sentence(named):
    path = zipped(named / "cifar10.zip", files())
    held = path.read_bytes()
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag that says "encrypted", in each header
        parts = held.split(mark)
        held = mark.join([parts[0], *(part[: place - 4] + b"\1" + part[place - 3 :] for part in parts[1:])])
    path.write_bytes(held)
    with pytest.raises(DataError, match=r"cannot be read \(.*encrypted"):
        data.load(NAME, CPU)


def test_what_is_broken_here_does_not_keep_a_download_from_coming(named, monkeypatch, cache):
    (named / "cifar10.zip").write_bytes(b"x")
    content = archive(monkeypatch)
    monkeypatch.setattr(downloading, "urlopen", lambda request, timeout: io.BytesIO(b"<html>"))
    with pytest.raises(
        DataError, match=f"web page.*, and what lies here cannot be used: {named}/cifar10.zip cannot be"
    ):
        data.download(NAME, nothing)
    monkeypatch.setattr(downloading, "urlopen", lambda request, timeout: io.BytesIO(content))
    data.download(NAME, nothing)
    assert data.available(NAME)
    assert holds_the_thirty(data.load(NAME, CPU))
