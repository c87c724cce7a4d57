"""Damage that a file of Whence can have: arrays, attributes, layouts and bytes that are not as they should be.

Structured damage has its checksums made right again where that is possible: it is a whole file of wrong content.
"""

import contextlib
import os
import shutil
import zlib

import h5py
import numpy as np

INTEGERS = [-1, 0, 1, 10**6, 10**9, 2**31, 2**62, 2**63 - 1, -2**63]
REALS = [float("nan"), float("inf"), -float("inf"), -1.0, 0.0, -0.0, 1e308, 5e-324]
TEXTS = [b"", b"0", b"99", b"all,all", b"all,,", b"\x1b[2J\x1b]0;owned\x07", b"\xff\xfe\x80", b"a" * 50000, b"two\nlines",
         "\u202egpj".encode(), b"%s%n{}{0}", b"../../etc/passwd", b"yes,no,yes,no", b"nan"]


def crc(*pieces):
    value = 0
    for piece in pieces:
        value = zlib.crc32(np.ascontiguousarray(piece).tobytes(), value)
    return value


def signed(value):
    return np.uint32(value).astype(np.int32)


def make_checksums_right(path):
    """As far as the shapes allow it."""
    with h5py.File(path, "r+", libver=("v108", "v108")) as file:
        for name in file:
            with contextlib.suppress(Exception):
                if "crc32" in file[name].attrs and file[name].size < 10**8:
                    file[name].attrs.modify("crc32", np.uint32(crc(file[name][()])))
        for rows, crcs in (("params", "params_crc"), ("state", "state_crc")):
            with contextlib.suppress(Exception):
                file[crcs][...] = [signed(crc(row)) for row in file[rows][()]]
        with contextlib.suppress(Exception):
            file["batch_crc"][...] = [signed(crc(b, r)) for b, r in zip(file["batch"][()], file["rate"][()])]
        with contextlib.suppress(Exception):
            file["seal"][...] = [crc(row) + 1 if seal else 0 for row, seal in zip(file["rows"][()], file["seal"][()])]
        with contextlib.suppress(Exception):
            file["crc"][...] = [crc(row[:n]) for row, n in zip(file["state"][()], file["count"][()])]


def opened(path):
    return h5py.File(path, "r+", libver=("v108", "v108"))


def put(file, name, values, **how):
    """Replaces an array, with a checksum where it had one."""
    sealed = "crc32" in file[name].attrs
    del file[name]
    array = file.create_dataset(name, data=values, **how)
    if sealed:
        array.attrs.create("crc32", np.uint32(0), dtype="<u4")


def some_array(file, draw):
    return draw.choice(sorted(file))


def wrong_value(file, draw):
    name = some_array(file, draw)
    values = file[name][()]
    if values.size == 0 or values.dtype.kind not in "if":
        return "%s is empty" % name
    flat = values.reshape(-1)
    palette = [v for v in INTEGERS if np.iinfo(values.dtype).min <= v <= np.iinfo(values.dtype).max] \
        if values.dtype.kind == "i" else REALS
    value = draw.choice(palette)
    places = [draw.randrange(flat.size) for _ in range(draw.choice([1, 1, 3]))]
    if draw.random() < 0.1:
        places = list(range(flat.size))
    flat[places] = value
    file[name][...] = values
    return "%s%s = %r" % (name, places[:3], value)


def wrong_shape(file, draw):
    name = some_array(file, draw)
    values = file[name][()]
    shapes = {"scalar": lambda v: v.reshape(-1)[0] if v.size else np.zeros((), v.dtype), "one more axis": lambda v: v[None],
              "last axis": lambda v: v[..., None], "flat": lambda v: v.reshape(-1), "empty": lambda v: v[:0],
              "one row less": lambda v: v[:-1], "one row more": lambda v: np.concatenate([v, v[-1:]]),
              "transposed": lambda v: np.ascontiguousarray(v.T), "twice": lambda v: np.concatenate([v, v]),
              "narrower": lambda v: v[..., :-1], "many axes": lambda v: v.reshape((1,) * 20 + v.shape)}
    change = draw.choice(sorted(shapes))
    put(file, name, shapes[change](values))
    return "%s: %s" % (name, change)


def wrong_type(file, draw):
    name = some_array(file, draw)
    values = file[name][()]
    kind = draw.choice(["<f4", "<f8", "<i4", "<i8", "<u8", ">f8", ">i8", "<f2", "u1", "S3", "compound", "text", "complex"])
    if kind == "compound":
        changed = np.zeros(values.shape, dtype=[("a", "<f8"), ("b", "<i4")])
    elif kind == "text":
        put(file, name, np.full(values.shape, "text", dtype=object), dtype=h5py.string_dtype())
        return "%s as texts of any length" % name
    else:
        with np.errstate(all="ignore"):
            changed = values.astype(np.complex128 if kind == "complex" else kind)
    put(file, name, changed)
    return "%s as %s" % (name, kind)


def missing_array(file, draw):
    name = some_array(file, draw)
    del file[name]
    return "no %s" % name


def huge_size(file, draw):
    name = some_array(file, draw)
    dtype, axes = file[name].dtype, max(1, file[name].ndim)
    shape = draw.choice([(10**12,) + (1,) * (axes - 1), (1,) * (axes - 1) + (10**12,), (10**6,) * 3, (2**40, 2**22),
                         (10**9,) + file[name].shape[1:]])
    del file[name]
    how = draw.choice(["contiguous", "chunked"])
    if how == "contiguous":
        array = file.create_dataset(name, shape=shape, dtype=dtype)
    else:
        array = file.create_dataset(name, shape=shape, dtype=dtype, chunks=(1,) * (len(shape) - 1) + (64,))
    array.attrs.create("crc32", np.uint32(0), dtype="<u4")
    return "%s is %s of %s" % (name, how, shape)


def all_huge(file, draw):
    """The same axis of every array that has it."""
    sizes = sorted({n for name in file for n in file[name].shape})
    size, large = draw.choice(sizes), draw.choice([10**12, 10**9, 0])
    for name in list(file):
        if size in file[name].shape:
            shape = tuple(large if n == size else n for n in file[name].shape)
            dtype = file[name].dtype
            del file[name]
            with contextlib.suppress(Exception):
                file.create_dataset(name, shape=shape, dtype=dtype).attrs.create("crc32", np.uint32(0), dtype="<u4")
    return "every axis of %d is %d" % (size, large)


def other_layout(file, draw):
    name = some_array(file, draw)
    values = file[name][()]
    if values.ndim == 0 or values.size == 0:
        return "%s cannot be chunked" % name
    how = draw.choice(["chunked", "compressed", "external", "virtual", "resizable"])
    if how == "chunked":
        put(file, name, values, chunks=values.shape)
    elif how == "compressed":
        put(file, name, values, compression="gzip")
    elif how == "resizable":
        put(file, name, values, maxshape=(None,) * values.ndim)
    elif how == "external":
        place = file.filename + ".outside"
        values.tofile(place)
        del file[name]
        file.create_dataset(name, shape=values.shape, dtype=values.dtype, external=[(place, 0, values.nbytes)])
    else:
        file.create_dataset(name + "_kept", data=values)
        layout = h5py.VirtualLayout(shape=values.shape, dtype=values.dtype)
        layout[...] = h5py.VirtualSource(".", name + "_kept", shape=values.shape)
        del file[name]
        file.create_virtual_dataset(name, layout)
    if "crc32" not in file[name].attrs:
        file[name].attrs.create("crc32", np.uint32(crc(values)), dtype="<u4")
    return "%s %s" % (name, how)


def not_an_array(file, draw):
    name = some_array(file, draw)
    how = draw.choice(["group", "soft link", "dangling link", "external link", "type", "link to itself", "no content"])
    values = file[name][()]
    del file[name]
    if how == "group":
        file.create_group(name).create_dataset("inside", data=values)
    elif how == "soft link":
        file.create_dataset(name + "_kept", data=values)
        file[name] = h5py.SoftLink("/" + name + "_kept")
    elif how == "dangling link":
        file[name] = h5py.SoftLink("/nowhere")
    elif how == "link to itself":
        file[name] = h5py.SoftLink("/" + name)
    elif how == "external link":
        file[name] = h5py.ExternalLink("/dev/zero", "/a")
    elif how == "type":
        file[name] = np.dtype("<f8")
    else:
        file.create_dataset(name, data=h5py.Empty("<f8")).attrs.create("crc32", np.uint32(0), dtype="<u4")
    return "%s: %s" % (name, how)


def wrong_attribute(file, draw):
    name = draw.choice(sorted(file.attrs))
    how = draw.choice(["missing", "text", "text", "text", "any length", "array", "number", "array of texts", "no content"])
    del file.attrs[name]
    if how == "text":
        file.attrs[name] = np.bytes_(draw.choice(TEXTS) or b"\0")
    elif how == "any length":
        file.attrs[name] = "a text of any length"
    elif how == "array":
        file.attrs[name] = np.arange(1000)
    elif how == "number":
        file.attrs[name] = 3
    elif how == "array of texts":
        file.attrs[name] = np.array([b"abc"] * 500)
    elif how == "no content":
        file.attrs[name] = h5py.Empty("S10")
    return "attribute %s: %s" % (name, how)


def more_attributes(file, draw):
    name = draw.choice(["\x1b[31mred", "\xe9", "a" * 3000, "new\nline"])
    file.attrs[name] = np.bytes_(b"\x1b]0;title\x07\x9b31m")
    if draw.random() < 0.5:
        file.create_dataset(draw.choice(["\x1b[2Jarray", "more"]), data=np.arange(3))
    return "an attribute named %r" % name[:20]


def wrong_checksum_attribute(file, draw):
    sealed = [name for name in sorted(file) if "crc32" in file[name].attrs]
    if not sealed:
        return "no sealed array"
    name, how = draw.choice(sealed), draw.choice(["array", "text", "real", "long", "missing", "no content", "off by one"])
    right = int(file[name].attrs["crc32"])
    del file[name].attrs["crc32"]
    content = {"array": np.arange(5000, dtype="<u4"), "text": np.bytes_(b"x" * 5000), "real": 1.5, "long": np.int64(right),
               "no content": h5py.Empty("<u4"), "off by one": np.uint32((right + 1) % 2**32)}
    if how != "missing":
        file[name].attrs["crc32"] = content[how]
    return "checksum of %s: %s" % (name, how)


def wrong_order(file, draw):
    lists = [name for name in sorted(file) if file[name].ndim >= 1 and file[name].shape[0] > 1]
    if not lists:
        return "no list"
    name = draw.choice(lists)
    values = file[name][()]
    how = draw.choice(["reversed", "repeated", "swapped", "rolled"])
    if how == "reversed":
        values = values[::-1].copy()
    elif how == "repeated":
        values[draw.randrange(1, len(values))] = values[0]
    elif how == "swapped":
        values[[0, -1]] = values[[-1, 0]]
    else:
        values = np.roll(values, 1, axis=0)
    file[name][...] = values
    return "%s %s" % (name, how)


STRUCTURED = [wrong_value, wrong_value, wrong_value, wrong_value, wrong_shape, wrong_shape, wrong_type, missing_array, huge_size,
              all_huge, other_layout, not_an_array, wrong_attribute, wrong_attribute, more_attributes,
              wrong_checksum_attribute, wrong_order]


def structured(path, draw):
    """Damages an HDF5 file; says how."""
    change = draw.choice(STRUCTURED)
    with opened(path) as file:
        said = change(file, draw)
    if change is not wrong_checksum_attribute and change is not huge_size and change is not all_huge:
        make_checksums_right(path)
    return "%s: %s" % (change.__name__, said)


def raw(path, draw):
    """Damages a file's bytes; says how."""
    with open(path, "rb") as file:
        content = bytearray(file.read())
    how = draw.choice(["flips", "flips", "zeros", "inserted", "repeated", "cut", "end cut", "noise"])
    at = draw.randrange(min(len(content), draw.choice([64, 1024, len(content)])))
    length = draw.choice([1, 4, 64, 4096])
    if how == "flips":
        for _ in range(draw.choice([1, 1, 4, 64])):
            content[draw.randrange(len(content)) if draw.random() < 0.5 else at] ^= 1 << draw.randrange(8)
    elif how == "zeros":
        content[at:at + length] = bytes(len(content[at:at + length]))
    elif how == "noise":
        content[at:at + length] = bytes(draw.randrange(256) for _ in content[at:at + length])
    elif how == "inserted":
        content[at:at] = bytes(length)
    elif how == "repeated":
        content[at:at] = content[at:at + length]
    elif how == "cut":
        del content[at:at + length]
    else:
        del content[at:]
    with open(path, "wb") as file:
        file.write(content)
    return "%s at %d, %d" % (how, at, length)


def no_file(path, draw):
    """Puts something else in the file's place; says what."""
    how = draw.choice(["empty", "folder", "pipe", "dangling link", "link to itself", "text", "device", "missing"])
    os.remove(path)
    if how == "empty":
        open(path, "w").close()
    elif how == "folder":
        os.mkdir(path)
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "dangling link":
        os.symlink("/nowhere", path)
    elif how == "link to itself":
        os.symlink(path, path)
    elif how == "device":
        os.symlink("/dev/zero", path)
    elif how == "text":
        with open(path, "w") as file:
            file.write("not HDF5\n" * 100)
    return how


def damage(path, draw, kind=None):
    """Damages the file at `path`; returns (kind, how)."""
    kind = kind or draw.choices(["structured", "raw", "no file"], [16, 6, 1])[0]
    if kind == "structured" and not path.endswith((".cfg", ".json")):
        return kind, structured(path, draw)
    if kind == "no file":
        return kind, no_file(path, draw)
    return "raw", raw(path, draw)


def clear(folder):
    shutil.rmtree(folder, ignore_errors=True)
