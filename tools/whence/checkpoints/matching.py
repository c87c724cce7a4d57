"""Which tensor of a checkpoint is which of a game's, by names wherever these say it."""
import collections
import fnmatch
import re

import torch

from .failure import ImportFailure

WRAPPERS = ("module", "_orig_mod")  # of DataParallel and torch.compile, wherever they stand in a name
# What batch norm keeps besides its parameters; those have no place in a layout without it, and are refused.
BUFFERS = ("num_batches_tracked", "running_mean", "running_var")
# Words of the two heads of an encoder. Others (var, std, 21 and 22) may mean something else: --heads.
HEADS = (re.compile(r"(?<![a-z])(mu|means?|loc)(?![a-z])", re.IGNORECASE),
         re.compile(r"(?<![a-z])log_?var(iance)?(?![a-z])", re.IGNORECASE))

Named = collections.namedtuple("Named", "name tensor")  # the name that the checkpoint has for it


class Fit:
    """Tensors in the layout's order, chosen by their names, and what misfits. Single numbers without a place (beta, counters)
    are `ignored`: no layer of a game has one, and nothing is assigned for them."""

    def __init__(self, layout, chosen, extra):
        self.tensors = chosen
        self.misfits = []
        for entry, found in zip(layout, chosen):
            wanted = "%s %s" % (entry["name"], entry["shape"])
            if found is None:
                self.misfits.append("  no tensor for " + wanted)
            elif list(found.tensor.shape) != entry["shape"] or last(found.name) != last(entry["name"]):
                self.misfits.append("  %s %s is not %s" % (found.name, list(found.tensor.shape), wanted))
        self.ignored = [one for one in extra if one.tensor.dim() == 0]
        self.extra = [one for one in extra if one.tensor.dim() > 0]
        self.misfits += ["  %s %s has no place" % (one.name, list(one.tensor.shape)) for one in self.extra]


def last(name):
    return name.rsplit(".", 1)[-1]


def module_of(name):
    return name.rpartition(".")[0]


def renamed(name, rename, used):
    """The name with a module's path, as a whole, its end or its beginning, in place of another: ("fc1", "encoder.0") makes
    encoder.0.weight of fc1.weight and of net.fc1.weight, ("netG", "generator") generator.0.weight of netG.0.weight. Renames
    that did something go to `used`."""
    for old, new in rename:
        module = module_of(name)
        if module == old or module.endswith("." + old):
            used.add((old, new))
            return new + "." + last(name)
        if module.startswith(old + "."):
            used.add((old, new))
            return new + name[len(old):]
    return name


def kept(tensors, leave_out, rename, used, buffers=BUFFERS):
    """{name without wrappers, renamed: Named} of the tensors that no pattern of leave_out fits, and that are no buffers;
    patterns and renames that did something go to `used`."""
    found = []
    for name, tensor in tensors.items():
        short = ".".join([part for part in module_of(name).split(".") if part not in WRAPPERS + ("",)] + [last(name)])
        fitting = [p for p in leave_out if fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(short, p)]
        used.update(fitting)
        if not fitting and last(name) not in buffers:
            found.append((renamed(short, rename, used), Named(name, tensor)))
    if len({short for short, _ in found}) < len(found):
        return {one.name: one for _, one in found}
    return dict(found)


def pair_of_heads(entries):
    """Modules of the mean and the log-variance, where names tell exactly one such pair; else None."""
    places = [collections.defaultdict(set), collections.defaultdict(set)]
    for name in entries:
        for place, words in zip(places, HEADS):
            if words.search(module_of(name)):
                place[words.sub("#", module_of(name))].add(module_of(name))
    pairs = [(mean, spread) for at in set(places[0]) & set(places[1]) for mean in places[0][at] for spread in places[1][at]]
    return pairs[0] if len(pairs) == 1 else None


def joined(path, entries, heads):
    """The entries but for the two heads, and {last part of a name: Named} of the heads joined, the mean first."""
    if heads is None:
        pair = pair_of_heads(entries)
    else:
        fitting = [{module_of(name) for name in entries if ("." + module_of(name)).endswith("." + head)} for head in heads]
        for head, modules in zip(heads, fitting):
            if len(modules) != 1:
                raise ImportFailure("--heads: %s holds %s tensors %s.*" % (path, "several" if modules else "no", head))
        pair = tuple(modules.pop() for modules in fitting)
    if pair is None:
        return entries, {}
    mean, spread = ({last(name): one for name, one in entries.items() if module_of(name) == module} for module in pair)
    joint = {}
    for part, one in mean.items():
        other = spread.get(part)
        if other is None or one.tensor.shape != other.tensor.shape or one.tensor.dim() == 0:
            return entries, {}
        for each in (one, other):
            refuse_other_types(path, each)
        joint[part] = Named("%s and %s" % (one.name, other.name), torch.cat([one.tensor.detach(), other.tensor.detach()]))
    return {name: one for name, one in entries.items() if module_of(name) not in pair}, joint


def joint_places(layout):
    """{place in the layout: last part of its name} of the last layer of the first network, which two heads make up."""
    role = layout[0]["name"].split(".")[0]
    layer = module_of([entry["name"] for entry in layout if entry["name"].split(".")[0] == role][-1])
    return {at: last(entry["name"]) for at, entry in enumerate(layout) if module_of(entry["name"]) == layer}


def same_names(layout, entries, joint, places):
    """The tensors whose names are the layout's behind one prefix; None where no or several prefixes do."""
    wanted = {at: entry["name"] for at, entry in enumerate(layout) if not joint or at not in places}
    probe = next(iter(wanted.values()))
    prefixes = [name[:-len(probe)] for name in entries if ("." + name).endswith("." + probe)]
    fitting = [prefix for prefix in prefixes if all(prefix + name in entries for name in wanted.values())]
    if len(fitting) != 1:
        return None
    names = {at: fitting[0] + name for at, name in wanted.items()}
    chosen = [entries[names[at]] if at in names else joint.get(places[at]) for at in range(len(layout))]
    return Fit(layout, chosen, [one for name, one in entries.items() if name not in names.values()])


def in_role(name, role):
    """(what stands before, the numbers in, the rest of) the path of a module of the network `role`; None of another."""
    parts = module_of(name).split(".")
    for at, part in enumerate(parts):
        if part.lower().startswith(role[:3]):
            own = ".".join(parts[at:])
            return parts[:at], tuple(int(number) for number in re.findall(r"\d+", own)), re.sub(r"\d+", "#", own)
    return None


def numbered_layers(layout, entries, joint, places):
    """The tensors in the order of the numbers in their layers' names, network by network; None where the layers of a
    network differ in more than numbers."""
    roles = [entry["name"].split(".")[0] for entry in layout]
    kinds = list(dict.fromkeys(last(entry["name"]) for entry in layout))
    chosen, extra = [None] * len(layout), dict(entries)
    for role in dict.fromkeys(roles):
        found = {name: place for name in entries if last(name) in kinds and (place := in_role(name, role))}
        if not found or len({(tuple(before), text) for before, _, text in found.values()}) != 1:
            return None
        rest = sorted(found, key=lambda name: (found[name][1], kinds.index(last(name))), reverse=True)
        for at in (at for at, other in enumerate(roles) if other == role):
            if joint and at in places:
                chosen[at] = joint.get(places[at])
            elif rest:
                chosen[at] = extra.pop(rest.pop())
    return Fit(layout, chosen, list(extra.values()))


def fit_of(path, tensors, layout, options, used):
    """How a dictionary of tensors fits a layout. options: leave_out, rename, heads. Names decide: tensors of equal shape in
    another order would be swapped without a word."""
    entries, places = kept(tensors, options.leave_out, options.rename, used), joint_places(layout)
    entries, joint = joined(path, entries, options.heads)
    for way in (same_names, numbered_layers):
        fit = way(layout, entries, joint, places)
        if fit is not None:
            return fit
    unknown = Fit(layout, [None] * len(layout), list(entries.values()))
    unknown.misfits.append("  their names do not tell which is which; --rename OLD=NEW gives a layer its name, as in "
                           "--rename fc1=%s" % module_of(layout[0]["name"]))
    return unknown


def refuse_other_types(path, one):
    if not one.tensor.is_floating_point():
        raise ImportFailure("%s: %s is of the type %s, not floating point" % (
            path, one.name, str(one.tensor.dtype).replace("torch.", "")))
