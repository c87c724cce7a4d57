"""What a player's state_dict() holds besides the parameters that train."""
import zlib

import numpy as np


def numbers_crc(tensor):
    """CRC-32 of a tensor's numbers as float64, one after another: the same for every type that holds them exactly."""
    values = tensor.detach().cpu().numpy().astype(np.float64)
    return zlib.crc32(np.ascontiguousarray(values).tobytes())


def others_of(players):
    """{name: {"same_as": a parameter's name} or {"crc32", "shape"}} of tied parameters, and of constants (buffers, parameters
    without requires_grad), by the names of PLAYER.state_dict()."""
    named = dict(zip((id(tensor) for tensor in players.tensors), players.names))
    others = {}
    for player, module in players.modules.items():
        for key, tensor in module.state_dict(keep_vars=True).items():
            name = "%s.%s" % (player, key)
            if id(tensor) in named:
                if name not in players.names:
                    others[name] = {"same_as": named[id(tensor)]}
            elif hasattr(tensor, "shape"):
                others[name] = {"crc32": numbers_crc(tensor), "shape": list(tensor.shape)}
    return others
