"""PyTorch checkpoints (`.pth`, `.pth.tar`) read without PyTorch, and without running their code.

A checkpoint is a pickle that describes tensors, and the raw bytes of their storages. A pickle can
call anything it names, so only the few names that state dicts need are known here, and each stands
for an inert record: no array, dtype or class of ours can be reached from inside the pickle. Any
other name is refused. Arrays are made after the pickle has ended, once every size, stride and
offset has been checked against the bytes that are there.

Two layouts exist: the zip archive that `torch.save` has written since PyTorch 1.6, and before it
five pickles in a row followed by the storages (so are the published HiFi-GAN checkpoints).
"""

from __future__ import annotations

import collections
import functools
import io
import math
import os
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
SCALARS = (str, bytes, int, float, complex, bool, type(None))


class Storage(NamedTuple):
    """A run of `length` numbers of one kind (a key of `DTYPES`), held in the file under `key`."""

    kind: str
    key: str
    length: int


class Tensor(NamedTuple):
    """A view of a storage; offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class StateDictUnpickler(pickle._Unpickler):
    """An unpickler that knows the names of a state dict and no others.

    Python's own rather than C's, which gives one damaged byte as much memory as it asks for.

    Attributes:
        storages: key -> the storage that the pickle described under it.
    """

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for; `pickle` asks this for every one."""
        if module == "torch" and name in DTYPES:
            return name
        known = {
            "collections.OrderedDict": collections.OrderedDict,
            "torch.Size": tuple,
            # Bound methods: a pickle may set attributes of what it names, and these have none.
            "torch._utils._rebuild_tensor_v2": self._rebuild_tensor,
            "torch._utils._rebuild_parameter": self._rebuild_parameter,
        }
        if f"{module}.{name}" not in known:
            raise ValueError(
                f"it names `{module}.{name}`, which plain weights do not need, so it is refused; "
                "save the state dict alone"
            )
        return known[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> Storage:
        """The record of a storage; its bytes are read once the pickle has ended."""
        match pid:
            # The old layout has a sixth part, set for views of storages, which are not written now.
            case ("storage", str(kind), str(key), _, int(length)) | (
                "storage",
                str(kind),
                str(key),
                _,
                int(length),
                None,
            ) if kind in DTYPES and length >= 0:
                storage = Storage(kind, key, length)
            case _:
                raise ValueError(f"{pid!r} describes no storage that is known here")
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key} is described as {self.storages[key]} and as {storage}")
        return storage

    def _rebuild_tensor(self, storage, offset, size, stride, *_) -> Tensor:
        """Stands for torch's function of that name; what follows the strides is for training."""
        tensor = Tensor(storage, offset, tuple(size), tuple(stride))
        counts = (offset, *tensor.size, *tensor.stride)
        if (
            not isinstance(storage, Storage)
            or len(tensor.size) != len(tensor.stride)
            or any(type(count) is not int or count < 0 for count in counts)
        ):
            raise ValueError(f"a tensor has a storage and counts from 0. Received: {tensor}")
        n_numbers = math.prod(tensor.size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        # The first rule refuses strides of 0 too, with which a few bytes could claim any size.
        if n_numbers and (n_numbers > storage.length or last >= storage.length):
            raise ValueError(f"a tensor must lie within its storage. Received: {tensor}")
        return tensor

    def _rebuild_parameter(self, tensor, *_) -> Tensor:
        """Stands for torch's function of that name: a parameter is its tensor."""
        return tensor


def read_torch_weights(path_or_file: str | os.PathLike | BinaryIO) -> dict:
    """Read a PyTorch checkpoint into a dict of numpy arrays.

    Args:
        path_or_file: the path of a `.pth` or `.pth.tar`, or a binary file open at its start.
    Returns:
        The saved dict, nested as it was, in its order. Tensors are read-only arrays of their own
        dtype, and may share memory where the saved tensors did; other values are as saved.
    Raises:
        ValueError: the file is truncated, is no checkpoint of a dict, or names anything but plain
            tensors; the file and the reason are in the message.
        OSError: the file cannot be opened.
    Reference:
        `torch/serialization.py` of https://github.com/pytorch/pytorch (`_load`, `_legacy_load`).
    """
    if isinstance(path_or_file, (str, os.PathLike)):
        name = os.fspath(path_or_file)
        with open(name, "rb") as file:
            content = file.read()
    else:
        name = getattr(path_or_file, "name", "checkpoint")
        content = path_or_file.read()
    try:
        read = _read_zip if content[:2] == b"PK" else _read_legacy
        return read(content)
    # A damaged pickle can raise nearly anything: IndexError, TypeError, MemoryError, ...
    except Exception as error:
        reason = str(error).rstrip(".")
        if not isinstance(error, ValueError):
            reason = f"{type(error).__name__} {reason}".rstrip()
        raise ValueError(
            f"{name}: expected a PyTorch checkpoint of plain tensors. Received: {len(content):,} "
            f"bytes that cannot be read: {reason}. Is the download complete?"
        ) from error


def _read_zip(content: bytes) -> dict:
    """Read the zip layout: `<root>/data.pkl` and one member `<root>/data/<key>` a storage."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        pickles = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise ValueError(f"the archive holds {len(pickles)} members <root>/data.pkl, not one")
        root = pickles[0].split("/")[0]

        def read(name: str) -> bytes:
            member = archive.getinfo(f"{root}/{name}")
            # A stored member cannot be larger than the file; a compressed one could be a bomb.
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"its member {member.filename} is compressed")
            return archive.read(member)

        if f"{root}/byteorder" in archive.namelist():
            _check_byte_order(read("byteorder") == b"little")
        saved = StateDictUnpickler(io.BytesIO(read("data.pkl"))).load()
        return _with_arrays(saved, lambda storage: _as_array(storage, read(f"data/{storage.key}")))


def _read_legacy(content: bytes) -> dict:
    """Read the old layout: magic, protocol, system, dict and keys, all pickles; then storages.

    Each storage is its length (int64) and its numbers, in the order of the keys.
    """
    file = io.BytesIO(content)
    # Looked at before unpickling, so that a foreign file is not called a broken pickle.
    if not content.startswith(pickle.dumps(LEGACY_MAGIC, protocol=2)):
        raise ValueError("it is neither a zip archive nor an old PyTorch file")
    _, protocol, system = (StateDictUnpickler(file).load() for _ in range(3))
    if protocol != LEGACY_PROTOCOL:
        raise ValueError(f"its protocol is {protocol!r}, not {LEGACY_PROTOCOL}")
    _check_byte_order(system["little_endian"])
    unpickler = StateDictUnpickler(file)
    saved = unpickler.load()
    keys = StateDictUnpickler(file).load()

    arrays = {}
    for key in keys:
        storage = unpickler.storages[key]
        length = int.from_bytes(file.read(8), "little")
        if length != storage.length:
            raise ValueError(f"storage {key} holds {length} numbers, not {storage.length}")
        n_bytes = length * np.dtype(DTYPES[storage.kind]).itemsize
        arrays[key] = _as_array(storage, file.read(n_bytes))
    return _with_arrays(saved, lambda storage: arrays[storage.key])


def _check_byte_order(is_little: bool) -> None:
    if not is_little:
        raise ValueError("it was saved on a big-endian machine, which is not supported")


def _as_array(storage: Storage, content: bytes) -> np.ndarray:
    """The numbers of a storage, (length,), read-only."""
    dtype = np.dtype(DTYPES[storage.kind])
    if len(content) != storage.length * dtype.itemsize:
        raise ValueError(
            f"storage {storage.key} should hold {storage.length * dtype.itemsize:,} bytes and "
            f"holds {len(content):,}"
        )
    return np.frombuffer(content, dtype)


def _with_arrays(saved: Any, read_storage: Callable[[Storage], np.ndarray]) -> dict:
    """Put arrays in the place of the tensors, in nested dicts, lists and tuples."""
    read_once = functools.cache(read_storage)
    done = {}

    def convert(value: Any) -> Any:
        if isinstance(value, Tensor):
            numbers = read_once(value.storage)
            strides = [step * numbers.itemsize for step in value.stride]
            return np.lib.stride_tricks.as_strided(
                numbers[value.offset :], value.size, strides, writeable=False
            )
        if isinstance(value, SCALARS):
            return value
        # A container that stands in many places is converted once: a small pickle could otherwise
        # unfold into an endless one.
        if id(value) not in done:
            if isinstance(value, dict):
                done[id(value)] = {key: convert(value[key]) for key in value}
            elif type(value) in (list, tuple):
                done[id(value)] = type(value)(convert(item) for item in value)
            else:
                raise ValueError(f"a {type(value).__name__} is neither a tensor nor plain data")
        return done[id(value)]

    if not isinstance(saved, dict):
        raise ValueError(f"it holds a {type(saved).__name__}, not a dict of tensors")
    return convert(saved)
