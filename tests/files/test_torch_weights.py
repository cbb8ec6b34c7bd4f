"""PyTorch checkpoints, written here by hand in both layouts, read back without PyTorch."""

import collections
import io
import os
import pickle
import zipfile
from typing import ClassVar, NamedTuple

import numpy as np
import pytest

from tfpipeline.files.torch_weights import read_torch_weights

KINDS = {
    "float64": "Double",
    "float32": "Float",
    "float16": "Half",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
}


class Name(NamedTuple):
    """Something that the pickle names."""

    module: str
    name: str


class Storage(NamedTuple):
    """A storage, as PyTorch would save it."""

    key: str
    numbers: np.ndarray


class Tensor(NamedTuple):
    """A tensor, as PyTorch would save it; offset and strides in numbers."""

    storage: Storage
    offset: int
    size: tuple
    stride: tuple


class TorchPickler(pickle._Pickler):
    """Writes what `torch.save` writes; the pure-Python pickler can name what is not installed."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def persistent_id(self, thing):
        if isinstance(thing, Storage):
            kind = Name("torch", f"{KINDS[str(thing.numbers.dtype)]}Storage")
            return ("storage", kind, thing.key, "cuda:0", len(thing.numbers), *self.view)
        return None

    def save_name(self, thing):
        self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())

    def save_tensor(self, thing):
        self.save_name(Name("torch._utils", "_rebuild_tensor_v2"))
        self.save((*thing, False, collections.OrderedDict()))
        self.write(pickle.REDUCE)

    dispatch[Name] = save_name
    dispatch[Tensor] = save_tensor


def _pickled(thing, view=()):
    file = io.BytesIO()
    pickler = TorchPickler(file, protocol=2)
    pickler.view = view
    pickler.dump(thing)
    return file.getvalue()


def zipped(saved, *storages, compression=zipfile.ZIP_STORED):
    """The bytes of a checkpoint as PyTorch has written it since 1.6."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", _pickled(saved))
        for storage in storages:
            archive.writestr(f"archive/data/{storage.key}", storage.numbers.tobytes())
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def legacy(saved, *storages):
    """The bytes of a checkpoint as PyTorch wrote it before 1.6."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"long": 4}}
    parts = [_pickled(0x1950A86A20F9469CFC6C), _pickled(1001), _pickled(system)]
    parts += [_pickled(saved, view=(None,)), _pickled([storage.key for storage in storages])]
    for storage in storages:
        parts += [len(storage.numbers).to_bytes(8, "little"), storage.numbers.tobytes()]
    return b"".join(parts)


layouts = pytest.mark.parametrize("layout", [zipped, legacy])
SIX = Storage("7", np.arange(6, dtype=np.float32))


def _whole(storage):
    return Tensor(storage, 0, (len(storage.numbers),), (1,))


def _read(content):
    return read_torch_weights(io.BytesIO(content))


@layouts
def test_nested_values_in_their_order(layout):
    state = collections.OrderedDict(
        {"weight": Tensor(SIX, 0, (2, 3), (3, 1)), "bias": Tensor(SIX, 5, (), ())}
    )
    state._metadata = {"version": 1}
    saved = _read(layout({"generator": state, "steps": 3, "rates": [8, (2, None)]}, SIX))
    assert list(saved) == ["generator", "steps", "rates"]
    assert list(saved["generator"]) == ["weight", "bias"]
    assert (saved["steps"], saved["rates"]) == (3, [8, (2, None)])
    np.testing.assert_array_equal(saved["generator"]["weight"], [[0, 1, 2], [3, 4, 5]])
    assert saved["generator"]["bias"].shape == ()
    assert saved["generator"]["bias"] == 5


@layouts
def test_strides_and_offsets_in_a_shared_storage(layout):
    saved = _read(
        layout(
            {
                "transposed": Tensor(SIX, 0, (3, 2), (1, 3)),
                "tail": Tensor(SIX, 4, (2,), (1,)),
                "every other": Tensor(SIX, 1, (3,), (2,)),
                "empty": Tensor(SIX, 0, (0, 3), (3, 1)),
            },
            SIX,
        )
    )
    np.testing.assert_array_equal(saved["transposed"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(saved["tail"], [4, 5])
    np.testing.assert_array_equal(saved["every other"], [1, 3, 5])
    assert saved["empty"].shape == (0, 3)
    assert not saved["transposed"].flags.writeable


@layouts
@pytest.mark.parametrize("dtype", KINDS)
def test_every_kind_of_storage(layout, dtype):
    storage = Storage("0", np.array([0, 1, 1], dtype))
    saved = _read(layout({"x": _whole(storage), "other": _whole(SIX)}, storage, SIX))
    assert saved["x"].dtype == dtype
    np.testing.assert_array_equal(saved["x"], storage.numbers)


@layouts
def test_a_path_reads_as_a_file_does(layout, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(layout({"x": _whole(SIX)}, SIX))
    np.testing.assert_array_equal(read_torch_weights(path)["x"], SIX.numbers)
    with path.open("rb") as file:
        np.testing.assert_array_equal(read_torch_weights(file)["x"], SIX.numbers)


@layouts
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch", "load"),
        ("numpy", "dtype"),
        ("torch._utils", "StateDictUnpickler"),
    ],
)
def test_any_other_name_is_refused(layout, module, name):
    with pytest.raises(ValueError, match=rf"names `{module}\.{name}`.* is refused"):
        _read(layout({"x": Name(module, name)}))


@layouts
def test_a_call_in_the_pickle_is_not_made(layout, tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    with pytest.raises(ValueError, match=r"names `(posix|nt)\.mkdir`"):
        _read(layout({"x": Attack()}))
    assert not (tmp_path / "made").exists()


@layouts
@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (7,), (1,)),
        (1, (2, 3), (3, 1)),
        (6, (), ()),
        (0, (1000, 1000), (0, 0)),
        (0, (4,), (2,)),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(layout, offset, size, stride):
    with pytest.raises(ValueError, match="a tensor must lie within its storage"):
        _read(layout({"x": Tensor(SIX, offset, size, stride)}, SIX))


@layouts
@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (-1, (2,), (1,)),
        (5, (2,), (-1,)),
        (0, (-2,), (1,)),
        (0, (2, 3), (1,)),
        (0, (2.0,), (1,)),
    ],
)
def test_sizes_that_are_no_counts_are_refused(layout, offset, size, stride):
    with pytest.raises(ValueError, match="a tensor has a storage and counts from 0"):
        _read(layout({"x": Tensor(SIX, offset, size, stride)}, SIX))


def test_a_storage_of_the_wrong_length_is_refused():
    short = Storage(SIX.key, SIX.numbers[:5])
    with pytest.raises(ValueError, match="storage 7 should hold 24 bytes and holds 20"):
        _read(zipped({"x": _whole(SIX)}, short))
    with pytest.raises(ValueError, match="storage 7 holds 5 numbers, not 6"):
        _read(legacy({"x": _whole(SIX)}, short))


@layouts
def test_two_descriptions_of_one_storage_are_refused(layout):
    other = Storage(SIX.key, SIX.numbers.astype(np.float64))
    with pytest.raises(ValueError, match="storage 7 is described as"):
        _read(layout({"x": _whole(SIX), "y": _whole(other)}, SIX))


@layouts
def test_a_truncated_file_is_named(layout, tmp_path):
    content = layout({"x": _whole(SIX)}, SIX)
    path = tmp_path / "weights.pth"
    for n_bytes in range(len(content)):
        path.write_bytes(content[:n_bytes])
        with pytest.raises(ValueError, match=rf"weights\.pth: .* {n_bytes} bytes that cannot be"):
            read_torch_weights(path)


@pytest.mark.parametrize("content", [b"", b"RIFF\0\0\0\0WAVE", pickle.dumps({"x": 1})])
def test_a_foreign_file_is_refused(content):
    with pytest.raises(ValueError, match="neither a zip archive nor an old PyTorch file"):
        _read(content)


def test_a_zip_of_something_else_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match=r"holds 0 members <root>/data\.pkl, not one"):
        _read(file.getvalue())


def test_a_compressed_member_is_refused():
    with pytest.raises(ValueError, match=r"archive/data\.pkl is compressed"):
        _read(zipped({"x": _whole(SIX)}, SIX, compression=zipfile.ZIP_DEFLATED))


@layouts
@pytest.mark.parametrize(
    ("saved", "rule"),
    [
        ([1, 2], "holds a list, not a dict"),
        ({"x": {1, 2}}, "a set is neither a tensor nor plain data|names `.*set`"),
    ],
)
def test_only_dicts_of_plain_data_are_read(layout, saved, rule):
    with pytest.raises(ValueError, match=rule):
        _read(layout(saved))


@layouts
def test_a_dict_that_holds_itself_is_refused(layout):
    saved = {}
    saved["itself"] = saved
    with pytest.raises(ValueError, match="recursion"):
        _read(layout(saved))


def test_a_damaged_byte_cannot_ask_for_memory():
    # Remember an empty dict as number 2**32 - 1; the C unpickler makes a table that long.
    content = b"\x80\x02}r\xff\xff\xff\xff."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    assert _read(file.getvalue()) == {}


@layouts
def test_a_small_pickle_cannot_unfold_into_an_endless_one(layout):
    nested = [1]
    for _ in range(100):
        nested = [nested, nested]
    assert len(_read(layout({"x": nested}))["x"]) == 2
