"""A run as bytes: the recording as an `.npz` file without pickle, the manifest as JSON under its own seal.

Whatever is read here may have been damaged, or made by somebody else: sizes are checked before memory is taken.
"""

import hashlib
import io
import math
import re
import zipfile
from collections.abc import Mapping

import numpy as np
from pydantic import ValidationError

from core.frames import Array, Recording
from core.runs.run import FileRecord, Manifest

MOST_MANIFEST = 2**20  # bytes
MOST_ARRAYS = 512 * 2**20  # bytes, unpacked

SEALED = re.compile(rb'(\{.*),\n  "sha256": "([0-9a-f]{64})"\n\}\n', re.DOTALL)


class Damaged(ValueError):
    """Bytes that are not what the store wrote. The message has no full stop."""


class Foreign(Exception):
    """Bytes as they were written, by another version or for another lesson: left alone. No full stop either."""


def pack(arrays: Mapping[str, Array]) -> bytes:
    """The arrays of a recording as an `.npz` file. Equal arrays give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: no clock in the bytes
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes, most: int = MOST_ARRAYS) -> Recording:
    """The recording whose arrays `pack` packed; `Damaged` on anything else, or on more than `most` bytes of arrays."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > most:
                raise Damaged(f"its arrays unpack to {size} bytes, more than {most}")
            names = [member.filename.removesuffix(".npy") for member in members]
            if len(set(names)) < len(names):
                raise Damaged("it names an array twice")
            arrays = {name: _array(_read(archive, member)) for name, member in zip(names, members, strict=True)}
        return Recording.from_arrays(arrays)
    except Damaged:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise some ten kinds on bytes that are not theirs
        raise Damaged(f"its arrays cannot be read ({type(error).__name__}: {error})") from error


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's bytes, never more than it declares.

    Asked for all that there is, `zipfile` unpacks first and cuts to the declared size afterwards; and LZMA and bzip2 it
    unpacks whole however much is asked for.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Damaged("an array that is packed in another way")
    with archive.open(member) as file:
        data = file.read(member.file_size)
    if len(data) != member.file_size:
        raise Damaged("an array that is shorter than it declares")
    return data


def _array(data: bytes) -> Array:
    """One `.npy` file. `np.load` would take the memory that a forged header asks for, before it reads."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise Damaged("an array of another format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    start = file.tell()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) - start:
        raise Damaged("an array that is not what its header says")
    flat = np.frombuffer(data, dtype, offset=start)
    return flat.reshape(shape, order="F" if fortran else "C").copy()


def record(data: bytes) -> FileRecord:
    """What a file with these bytes must be."""
    return FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def seal(manifest: Manifest) -> bytes:
    """`run.json`: the manifest, and as its last entry the SHA-256 of every byte before that entry."""
    body = manifest.model_dump_json(indent=2).removesuffix("\n}").encode()
    return body + f',\n  "sha256": "{hashlib.sha256(body).hexdigest()}"\n}}\n'.encode()


def unseal(data: bytes) -> Manifest:
    """Back from `seal`; `Damaged` where a byte differs, `Foreign` where all is whole but not understood here."""
    found = SEALED.fullmatch(data)
    if found is None or hashlib.sha256(found[1]).hexdigest().encode() != found[2]:
        raise Damaged("run.json is not as it was written")
    try:
        manifest = Manifest.model_validate_json(found[1] + b"\n}")
    except ValidationError as error:
        raise Foreign("run.json was written by another version of Gradient Lab") from error
    if manifest.format != 1:
        raise Foreign(f"run.json has format {manifest.format}, this version reads format 1")
    return manifest


def plain_facts(facts: Mapping[str, float | None]) -> dict[str, float | None]:
    """Facts as JSON can say them: a number that is none becomes null."""
    return {name: None if value is None or not math.isfinite(value) else float(value) for name, value in facts.items()}
