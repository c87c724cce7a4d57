"""Turns PyTorch checkpoints into a Whence run folder, so that `whence tracin` can score them.

    tools/import_checkpoints.py CHECKPOINTS --out RUN -- --game mlp-vae --data mnist:DIR --instances 59000 ...

CHECKPOINTS is a folder of .pt, .pth, .tar, .ckpt or .safetensors files, or files without a suffix that PyTorch wrote, each a
state dict or a training checkpoint that holds one. What
follows `--` are options of `whence train` that say what the networks were trained on: game, data, beta, latent, rate, batch,
... The steps to record are those of the checkpoints. Batches of an imported run are not known, so it can be scored but not
traced back.

The training step of a checkpoint is what it holds as global_step or step, and has to be what its name says: the number after
step, iter or epoch, else the only number, or the only one in which the names differ. (An epoch counts where no file holds a
step.) Where that does not decide, --step does.

Checkpoints of a model of your own (--game script:MODEL.pt among the OPTIONS) are matched by the names of the modules that were
exported, and by nothing else; buffers and frozen parameters have to be those of the export. For built-in games
tensors are matched by their names behind any common prefix, else by network (encoder, decoder) and the numbers of its
layers, never by the order of a file: where names do not decide, --rename does. What batch norm counts is left out, and so are
single numbers that have no place (beta, steps seen), which the import says. An encoder
that ends in two layers, for mean and log-variance, is joined to the one layer of Whence's.

Which instances they were trained on nobody but you knows: give --train-ids FILE or --train-rows 0:5000 among the OPTIONS (and
--instances with their number, --held-out with how many of the others to judge by, 0 for none); without these, Whence takes a
seeded choice of its own. After importing, the mean loss of some training instances at the first and the last checkpoint is
printed: wrong data, a wrong beta or a wrong order of layers show there.
"""
import argparse
import json
import os
import shutil
import sys

import numpy as np
import torch

from .failure import ImportFailure, listed, sentence
from .exported import description_of, exported_fit, model_of, united
from .loading import load, state_dicts
from .matching import fit_of, refuse_other_types
from .steps import checkpoints_of
from .trajectory import make_run, plan_of, recordable


def tell(words):
    sys.stderr.write("import_checkpoints: %s\n" % words)


def numbers_of(path, one, dtype):
    """A tensor's numbers, one after another; refuses what is no finite number of the run's type."""
    refuse_other_types(path, one)
    try:
        tensor = one.tensor.detach()
        tensor = tensor if tensor.layout == torch.strided else tensor.to_dense()
        values = tensor.to(torch.float64).numpy().ravel()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise ImportFailure("%s: %s cannot be read (%s)" % (path, one.name, sentence(error))) from None
    with np.errstate(over="ignore"):
        values = values.astype(dtype)
    if not np.isfinite(values).all():
        raise ImportFailure("%s: %s holds numbers that are not finite in %s" % (path, one.name, dtype))
    return values


def advice_on(fit, layout):
    """Which options could take in the tensors that have no place."""
    if not fit.extra:
        return ""
    half = any(list(one.tensor.shape) == [entry["shape"][0] // 2, *entry["shape"][1:]] for one in fit.extra for entry in layout)
    return "; --leave-out PATTERN leaves tensors out" + (", --heads MEAN,LOGVAR joins two layers" if half else "")


def theta_of(path, value, layout, options, seen):
    """theta [P] of the run's type from the one dictionary of a checkpoint that fits the layout, or from that named by --key.
    seen: patterns of --leave-out and pairs of --rename that fitted something; names of what was ignored."""
    found = list(state_dicts(value))
    if options.exported:
        found += united(value, options.exported["players"], options.rename)
    if not found:
        raise ImportFailure("%s: holds no state dict (tensors in a dictionary, by names that are text)" % path)
    found.sort(key=lambda one: -sum(tensor.numel() for tensor in one[1].values()))  # of equals, the outermost first
    chosen = [one for one in found if options.key in (None, one[0])]
    if not chosen:
        raise ImportFailure("%s: holds no state dict %s, but %s" % (path, options.key, listed([name for name, _ in found])))
    fitted = exported_fit if options.exported else fit_of
    every = [(name, fitted(path, tensors, layout, options, seen["patterns"])) for name, tensors in chosen]
    fitting = [(name, fit) for name, fit in every if not fit.misfits]
    if not fitting:
        name, fit = every[0]
        raise ImportFailure("%s: its tensors%s do not fit%s:\n%s" % (
            path, "" if name == "." else " (%s)" % name, advice_on(fit, layout), "\n".join(fit.misfits)))
    theta, *others = (np.concatenate([numbers_of(path, one, options.dtype) for one in fit.tensors]) for _, fit in fitting)
    if not all(np.array_equal(theta, other) for other in others):
        raise ImportFailure("%s: %s fit and differ; --key NAME chooses one" % (path, listed([name for name, _ in fitting])))
    seen["ignored"].update(one.name for _, fit in fitting for one in fit.ignored)
    return theta


def params_of(checkpoints, layout, options):
    """theta of every checkpoint [C, P]."""
    seen = {"patterns": set(), "ignored": set()}
    params = np.stack([theta_of(path, load(path, options.trust), layout, options, seen) for _, path in checkpoints])
    for pattern in options.leave_out:
        if pattern not in seen["patterns"]:
            raise ImportFailure("--leave-out '%s': is the name of no tensor" % pattern)
    for rename in options.rename:
        if rename not in seen["patterns"]:
            raise ImportFailure("--rename %s=%s: there is no layer %s" % (*rename, rename[0]))
    if seen["ignored"]:
        tell("%s: left out, as single numbers that no layer has" % listed(sorted(seen["ignored"])))
    return params


def pair_of(text):
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise ImportFailure("--rename '%s': is not OLD=NEW" % text)
    return old, new


def import_run(options):
    if not options.out:
        raise ImportFailure("--out: names no folder")
    if os.path.lexists(options.out):
        raise ImportFailure("%s: exists already" % options.out)
    if options.heads is not None:
        options.heads = options.heads.split(",")
        if len(options.heads) != 2 or not all(options.heads):
            raise ImportFailure("--heads: names two layers, MEAN,LOGVAR")
    options.rename = [pair_of(text) for text in options.rename]
    checkpoints = recordable(checkpoints_of(options.checkpoints, options.step, options.trust, tell), tell)
    steps = [step for step, _ in checkpoints]
    plan = plan_of(options.whence, options.options, steps)
    options.dtype, model = plan["dtype"], model_of(plan["attributes"]["settings"])
    options.exported = description_of(model) if model else None
    said = make_run(options.whence, options.out, plan, params_of(checkpoints, json.loads(plan["attributes"]["layout"]), options))
    print("%s: %d checkpoints, steps %s" % (options.out, len(steps), listed(steps)))
    print(said)


def default_program():
    """build/bin/whence of the clone that this is part of, else the whence on PATH."""
    clone = os.path.realpath(__file__)
    for _ in range(4):
        clone = os.path.dirname(clone)
    built = os.path.join(clone, "build", "bin", "whence")
    return built if os.path.exists(built) else shutil.which("whence") or built


def main():
    own = sys.argv[1:sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    parser = argparse.ArgumentParser(usage="%(prog)s CHECKPOINTS --out RUN [options] -- OPTIONS",
                                     description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", help="folder of checkpoints")
    parser.add_argument("--out", required=True, help="run folder to make")
    parser.add_argument("--step", metavar="PATTERN", help="where the training step is in a file's name: a regular expression "
                        r"whose group is the number, as 'step=(\d+)'; or inside, for what the checkpoint itself holds")
    parser.add_argument("--key", help="which dictionary of a checkpoint holds the networks, where several could: "
                                      "model, or nets.ema for one inside another")
    parser.add_argument("--leave-out", metavar="PATTERN", action="append", default=[],
                        help="tensors that are not the networks', as '*.num_batches_tracked'; may be given again")
    parser.add_argument("--rename", metavar="OLD=NEW", action="append", default=[],
                        help="the layer OLD of the checkpoints is NEW of the game, as fc1=encoder.0; may be given again")
    parser.add_argument("--heads", metavar="MEAN,LOGVAR", help="the encoder's two last layers, as fc21,fc22; found by themselves "
                        "where they are called mu or mean and logvar or log_var")
    parser.add_argument("--whence", default=os.environ.get("WHENCE") or default_program(),
                        help="the program (default: build/bin/whence of the clone, else whence on PATH)")
    parser.add_argument("--trust", action="store_true", help="load files that hold more than tensors and numbers")
    options = parser.parse_args(own)
    options.options = sys.argv[len(own) + 2:]
    try:
        import_run(options)
    except ImportFailure as failure:
        sys.exit("import_checkpoints: %s" % failure)
    except (OSError, MemoryError) as error:
        sys.exit("import_checkpoints: %s: %s" % (getattr(error, "filename", None) or options.out, sentence(error)))
