"""The data sets there are: what each holds, whose it is, which files it is published as."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from core.data.formats import Arrays, Content, read_decoded, read_digits, read_idx
from core.knobs import clip


class DataError(ValueError):
    """A data set that cannot be used. Its message is one sentence for the reader."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set on one device. Its tensors are shared by everybody who loads it: never change them in place.

    Attributes:
        name: as knobs and the command line spell it.
        x_train: raw pixels, (examples, pixels) uint8.
        y_train: class of each example, (examples,) int64.
        x_test: (tests, pixels) uint8.
        y_test: (tests,) int64.
        classes: names of the classes; a label is an index into them.
        shape: of one image, (channels, height, width); `x.view(-1, *shape)` gives images back.
        note: one sentence to stand beside results: what it is and whose.
        source: the folder or file it was read from, or "embedded".
    """

    name: str
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    note: str
    source: str


@dataclass(frozen=True)
class File:
    """One file of a set, as published and unpacked: its name, its size, its hash, and its CRC-32 as gzip knows it."""

    name: str
    bytes: int
    sha256: str
    crc32: int


@dataclass(frozen=True)
class Source:
    """Where a set comes from: one entry of `SOURCES`.

    Attributes:
        read: turns what the files hold, in their order, into the arrays.
        classes: as in `Dataset`, and so the next two.
        shape: of one image.
        note: what it is and whose.
        published: its class in `torchvision.datasets`, which knows the mirrors and names the folder.
        files: what it is published as; none where it is embedded, or decoded.
        decoded: it comes in the forms that `core.data.cifar10` reads.
        counts: training and test examples, as published.
    """

    read: Callable[[Sequence[Content]], Arrays]
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    note: str
    published: str = ""
    files: tuple[File, ...] = ()
    decoded: bool = False
    counts: tuple[int, int] = (60_000, 10_000)


def source_of(name: str) -> Source:
    """The entry of the set called `name`; `DataError` where there is none."""
    if name not in SOURCES:
        raise DataError(f"dataset = {clip(name)} is unknown; choose {', '.join(NAMES[:-1])} or {NAMES[-1]}.")
    return SOURCES[name]


def _four(*known: tuple[str, int]) -> tuple[File, ...]:
    """The files that MNIST has, and every set made after its pattern; of each its hash and its CRC-32."""
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    sizes = (47_040_016, 60_008, 7_840_016, 10_008)
    return tuple(File(name, size, *sums) for name, size, sums in zip(names, sizes, known, strict=True))


TEN_DIGITS = tuple("0123456789")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

SOURCES: dict[str, Source] = {
    "fashion-mnist": Source(
        read_idx,
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        (1, 28, 28),
        "FashionMNIST: pictures of clothes from Zalando's shop, 60,000 to learn from and 10,000 for the test "
        "(Xiao et al. 2017).",
        "FashionMNIST",
        _four(
            ("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", 0xB4F29F28),
            ("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", 0x741A4657),
            ("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", 0x678FE0B1),
            ("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", 0x80142C1F),
        ),
    ),
    "mnist": Source(
        read_idx,
        TEN_DIGITS,
        (1, 28, 28),
        "MNIST: handwritten digits, 60,000 to learn from and 10,000 for the test (LeCun et al. 1998).",
        "MNIST",
        _four(
            ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 0xE9F4D8B3),
            ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 0xE0CB4AD2),
            ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 0x91373BDF),
            ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 0x4AB9EFF9),
        ),
    ),
    "cifar10": Source(
        read_decoded,
        CIFAR10_CLASSES,
        (3, 32, 32),
        "CIFAR-10: small photographs of ten kinds of things, {:,} to learn from and {:,} for the test "
        "(Krizhevsky 2009).",
        "CIFAR10",
        decoded=True,
        counts=(50_000, 10_000),
    ),
    "digits": Source(
        read_digits,
        TEN_DIGITS,
        (1, 8, 8),
        "Digits: 1,797 small handwritten digits that come with scikit-learn (Alpaydin and Kaynak 1998), every sixth of "
        "a class kept for the test.",
        counts=(1_501, 296),
    ),
}

NAMES = tuple(SOURCES)
"""The sets that knobs and the command line may name."""
