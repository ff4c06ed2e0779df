"""CIFAR-10 as images in files, `train/cat/0001.png`, in a folder, a tar or a zip, below whatever leading folders."""

import io
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.data.catalogue import CIFAR10_CLASSES as CLASSES
from core.data.containers import Item

Numbers = np.ndarray[Any, np.dtype[np.uint8]]
"""Numbers of one byte: pixels, labels, the bytes of a file."""

Tell = Callable[[float], None]
"""Called with the share that is done."""

SIDE = 32
PIXELS = 3 * SIDE * SIDE
PARTS = ("train", "test")
SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_IMAGES = 200_000
MAX_BYTES = 2**20  # of one image as a file: a thousand times what one of 32×32 needs
OFTEN = 500  # images between two reports of progress


class PictureError(ValueError):
    """Images that cannot be used. Its message is what is wrong, without its full stop."""


def read_images(path: Path, items: Iterable[Item], tell: Tell) -> tuple[str, tuple[Numbers, Numbers, Numbers, Numbers]]:
    """All images, decoded in the order of their names, so that a folder and an archive of it give the same.

    Files are read in the order in which they lie there: going back in a packed archive means unpacking it anew.

    Returns:
        Their kind; pixels (examples, 3072) and labels (examples,) to train on, then the same two to test on.

    Raises:
        PictureError: there is something else among them, or some are missing.
    """
    listed = [item for item in items if item.name.lower().endswith(SUFFIXES)]
    if len(listed) > MAX_IMAGES:
        raise PictureError(f"{path} holds more than {MAX_IMAGES} images")
    leading = _leading([item.name for item in listed])
    found: dict[str, list[tuple[str, Numbers, int]]] = {part: [] for part in PARTS}
    formats = set()
    for done, item in enumerate(listed):
        if done % OFTEN == 0:
            tell(done / len(listed))
        place = _place(path, item.name, leading)
        if place is None:
            continue
        part, label = place
        pixels, as_what = _decoded(f"{path}/{shortened(item.name)}", _content(path, item))
        found[part].append((item.name, pixels, label))
        formats.add(as_what)
    for part in PARTS:
        labels = {label for _, _, label in found[part]}
        lacking = [name for label, name in enumerate(CLASSES) if label not in labels]
        if lacking:
            raise PictureError(f"{path} holds no image in {part}/{lacking[0]}/")
        found[part].sort(key=lambda each: each[0])
    x_train, x_test = (np.stack([pixels for _, pixels, _ in found[part]]) for part in PARTS)
    y_train, y_test = (np.array([label for _, _, label in found[part]], dtype=np.uint8) for part in PARTS)
    kind = "JPEG-recompressed images" if "JPEG" in formats else "images in PNG files"
    return kind, (x_train, y_train, x_test, y_test)


def _folders(name: str) -> list[str]:
    return [part for part in name.split("/") if part != "."]


def _leading(names: list[str]) -> list[str]:
    """The folders above train/ and test/, as the first image has them."""
    for name in names:
        folders = _folders(name)
        if len(folders) >= 3 and folders[-3].lower() in PARTS and folders[-2].lower() in CLASSES:
            return folders[:-3]
    return []


def _place(path: Path, name: str, leading: list[str]) -> tuple[str, int] | None:
    """Part and class of an image, from its folders; None for one that lies beside train/ and test/, as a preview does.

    An archive's names are text, so one that begins with "/" or climbs with ".." is in none of the folders.
    """
    folders = _folders(name)
    depth = len(leading)
    if len(folders) <= depth + 1 and ".." not in folders and folders[0]:
        return None
    part, of = (folders[depth].lower(), folders[depth + 1].lower()) if len(folders) == depth + 3 else ("", "")
    if folders[:depth] != leading or "" in folders or ".." in folders or part not in PARTS or of not in CLASSES:
        raise PictureError(
            f"{path} holds {shortened(name)}, which lies neither in train/<class>/ nor in test/<class>/ of the ten "
            "classes"
        )
    return part, CLASSES.index(of)


def _content(path: Path, item: Item) -> bytes:
    if item.read is None:
        raise PictureError(f"{path} holds {shortened(item.name)}, which is no plain file")
    if item.size > MAX_BYTES:
        raise PictureError(f"{path} holds {shortened(item.name)} of {item.size} bytes, too large for an image")
    return item.read(MAX_BYTES)


def _decoded(name: str, packed: bytes) -> tuple[Numbers, str]:
    """Its pixels (3072,), one channel after another, and its format."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are looked at below, before a pixel is decoded
            image = Image.open(io.BytesIO(packed), formats=("JPEG", "PNG"))
            if image.size != (SIDE, SIDE):
                raise PictureError(f"{name} has {image.width}×{image.height} pixels instead of {SIDE}×{SIDE}")
            pixels = np.asarray(image.convert("RGB"), dtype=np.uint8)
    except PictureError:
        raise
    except Exception as error:  # whatever a decoder makes of foreign bytes
        raise PictureError(f"{name} is no image that can be read") from error
    return pixels.transpose(2, 0, 1).reshape(PIXELS), str(image.format)


def shortened(name: str) -> str:
    """A name from an archive, which may be anything, for a sentence."""
    text = name if name.isprintable() else repr(name)
    return text if len(text) <= 60 else f"{text[:59]}…"
