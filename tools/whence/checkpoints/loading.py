"""What PyTorch checkpoints hold, without running what they say."""
import io
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


def load(path, trust):
    """What a checkpoint holds."""
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
