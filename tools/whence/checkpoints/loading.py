"""What PyTorch checkpoints hold, without running what they say."""
import io
import json
import math
import os
import pickle
import re
import types
import unittest.mock
import warnings

import torch

from .failure import ImportFailure, sentence


def state_dicts(value, name="", depth=4):
    """(name, tensors by name) of every dictionary inside a checkpoint that holds tensors, the outermost (.) first."""
    if isinstance(value, dict):
        tensors = {key: inner for key, inner in value.items() if isinstance(key, str) and isinstance(inner, torch.Tensor)}
        if tensors:
            yield name or ".", tensors
    elif not isinstance(value, (list, tuple)):
        return
    if depth > 0:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from state_dicts(inner, "%s.%s" % (name, key) if name else str(key), depth - 1)


class TensorUnpickler(pickle.Unpickler):
    """Makes tensors, containers, numbers and texts, and nothing that could run code."""

    ALLOWED = re.compile(r"collections\.OrderedDict|torch\._utils\._rebuild_(tensor_v2|parameter)|torch\.Size|"
                         r"torch\.(storage\.)?\w*Storage|torch\.(float|int|uint|bfloat)\d+")

    def find_class(self, module, name):
        if not self.ALLOWED.fullmatch(module + "." + name):
            raise pickle.UnpicklingError("it holds a %s.%s; --trust loads that, and can run code" % (module, name))
        return super().find_class(module, name)


def tensors_only():
    """What torch.load takes for Python's pickle."""
    module = types.ModuleType("tensors_only")
    module.__dict__.update({name: value for name, value in vars(pickle).items() if not name.startswith("__")})
    module.Unpickler = TensorUnpickler
    module.load = lambda file, **options: TensorUnpickler(file, **options).load()
    module.loads = lambda data, **options: TensorUnpickler(io.BytesIO(data), **options).load()
    return module


KINDS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
         "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}


def load_safetensors(path):
    """The tensors of a .safetensors file (https://github.com/huggingface/safetensors, "Format": the length of a header of JSON
    as 8 bytes, little-endian; the header, with type, shape and place of each tensor; the numbers) and its text metadata."""
    def damaged(why):
        return ImportFailure("%s: is no whole .safetensors file (%s)" % (path, why))

    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > os.path.getsize(path) - 8:
            raise damaged("its header is cut short")
        try:
            header = json.loads(file.read(length).decode("utf-8"))
            entries = {name: (entry["dtype"], [int(n) for n in entry["shape"]], *map(int, entry["data_offsets"]))
                       for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise damaged("its header: %s" % sentence(error)) from None
        numbers = bytearray(file.read())
    held = {key: int(text) for key, text in (header.get("__metadata__") or {}).items() if str(text).isdecimal()}
    tensors = {}
    for name, (kind, shape, begin, end) in entries.items():
        if kind not in KINDS:
            raise ImportFailure("%s: %s is of the type %s, which is not known" % (path, name, kind))
        dtype = KINDS[kind]
        size = math.prod(shape) * torch.empty((), dtype=dtype).element_size()
        if min(shape, default=0) < 0 or begin < 0 or end - begin != size or end > len(numbers):
            raise damaged("%s lies outside of it" % name)
        tensors[name] = torch.frombuffer(numbers[begin:end], dtype=dtype).reshape(shape) if size else torch.zeros(shape, dtype=dtype)
    return {**held, **tensors}


def load(path, trust):
    """What a checkpoint holds."""
    if path.endswith(".safetensors"):
        return load_safetensors(path)

    def refuse_program(*_, **__):
        raise ImportFailure("%s: is a TorchScript archive, which is a program, and running it is the only way to read it; "
                            "where you trust it, torch.save(torch.jit.load(FILE).state_dict(), OTHER) keeps its tensors" % path)

    chosen = pickle if trust else tensors_only()
    try:
        # PyTorch 1.13 drops pickle_module and takes its own import of pickle. All versions give archives with a
        # constants.pkl to torch.jit.load, which knows no pickle_module.
        with unittest.mock.patch.object(torch.serialization, "pickle", chosen), \
                unittest.mock.patch.object(torch.jit, "load", refuse_program), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", pickle_module=chosen)
    except ImportFailure:
        raise
    except Exception as error:  # torch has no common class for what damaged or unusual files raise
        words = "".join(c for c in sentence(error) if c.isprintable())[:200]
        raise ImportFailure("%s: cannot be loaded as a PyTorch checkpoint (%s)" % (path, words)) from None
