"""The file of an exported model: TorchScript with a description beside it. Nothing else knows what it is made of."""
import io
import json
import os

import torch

DESCRIPTION = "whence.json"  #: the record with names, shapes, players and functions
FORMAT, VERSION = "whence-model", 1


def write(path, module, description):
    """Writes the traced module; the file is there whole or not at all."""
    text = json.dumps(dict(description, format=FORMAT, version=VERSION, torch=torch.__version__.split("+")[0]))
    beside = "%s.%d.new" % (path, os.getpid())
    content = io.BytesIO()  # an archive in memory is not named after its file
    torch.jit.save(module, content, _extra_files={DESCRIPTION: text})
    try:
        with open(beside, "wb") as out:
            out.write(content.getbuffer())
        os.replace(beside, path)
    finally:
        if os.path.exists(beside):
            os.remove(beside)


def read_description(path):
    """The description in a file."""
    files = {DESCRIPTION: ""}
    torch.jit.load(path, map_location="cpu", _extra_files=files)
    return json.loads(files[DESCRIPTION])
