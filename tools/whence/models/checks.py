"""What must hold before a model is written: refusals name function, module or line, and reason."""
import torch

from .failure import CannotExport, first_line
from .functions import PARTS
from .operators import ALLOWED, DROPOUTS, RANDOM, constant, nodes_in

NORMS = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.modules.instancenorm._InstanceNorm)


def modules_of(players):
    for player, module in players.modules.items():
        for name, part in module.named_modules():
            yield "players['%s']%s" % (player, "." + name if name else ""), part


def check_modules(players):
    """Modules that would change their own state."""
    for name, part in modules_of(players):
        if isinstance(part, NORMS) and part.training and part.track_running_stats:
            raise CannotExport("%s (%s) updates running statistics; make it with track_running_stats=False, or put it into "
                               "eval()" % (name, type(part).__name__))


def line_of(node):
    """Where in the user's source an operator comes from; "" where that is not known."""
    lines = [line.strip() for line in node.sourceRange().splitlines() if line.strip()]
    for line in lines:
        if not any(part in line for part in ("site-packages", "dist-packages", "whence/models")) and "): " in line:
            return " (" + line + ")"
    return ""


def is_random(name):
    return any(name.split("::")[-1].startswith(word) for word in RANDOM)


def named_dropout(players):
    for name, part in modules_of(players):
        if "Dropout" in type(part).__name__ and part.training and getattr(part, "p", 0) > 0:
            return "%s (%s) " % (name, type(part).__name__)
    return ""


def check_operators(players, function, graph):
    """Random numbers, operators of Python, whatever else a file must not hold."""
    for node in nodes_in(graph):
        kind, inputs = node.kind(), list(node.inputs())
        if kind in DROPOUTS and constant(inputs[2]) is False:
            continue
        if kind in DROPOUTS or (kind not in ALLOWED and is_random(kind)):
            raise CannotExport("%s: %suses %s, which is random; random numbers come from `noise`%s"
                               % (function, named_dropout(players), kind, line_of(node)))
        if kind not in ALLOWED:
            what = "an operation of Python" if kind == "prim::PythonOp" else "the operator " + kind
            raise CannotExport("%s: uses %s, which a model file must not hold%s" % (function, what, line_of(node)))
        if kind in ("aten::batch_norm", "aten::instance_norm"):
            if constant(inputs[5]) is not False and inputs[3].type().kind() != "NoneType":
                raise CannotExport("%s: uses %s, which updates running statistics%s" % (function, kind, line_of(node)))


def largest(values):
    return max([0.0] + [float(value.detach().abs().max()) for value in values if value.numel()])


def check_same(function, eager, again, warned):
    """The trace says what the module says, on a batch that it has not been traced with."""
    for one, other in zip(eager, again):
        apart = float("inf") if one.shape != other.shape else largest([one - other])
        if not apart <= 1e-9 * max(1.0, largest([one])):
            hint = "; PyTorch warned: " + warned[0] if warned else ""
            raise CannotExport("%s: its trace gives other numbers than the module on a second batch of another size: "
                               "control flow that depends on the data, or a size taken from the example%s" % (function, hint))


def check_finite(function, values):
    for value in values:
        if not bool(torch.isfinite(value).all()):
            raise CannotExport("%s: is not finite with these parameters and instances" % function)


def losses_of(flat, used):
    """Each player's loss of its flat terms."""
    losses, at = [], 0
    for parts in used:
        count = sum(parts[part] for part in PARTS)
        losses.append(sum(value.sum() for value in flat[at:at + count]))
        at += count
    return losses


def check_derivatives(players, run, used):
    """Each loss has a gradient by its player's parameters, and that one has one."""
    values = players.values()
    try:
        losses = losses_of(run(values), used)
        gradients, first = [], 0
        for name, count, loss in zip(players.modules, players.counts, losses):
            own = values[first:first + count]
            first += count
            if not isinstance(loss, torch.Tensor) or not loss.requires_grad:
                raise CannotExport("the loss of '%s' does not depend on its parameters" % name)
            found = torch.autograd.grad(loss, own, create_graph=True, allow_unused=True)
            if all(one is None for one in found):
                raise CannotExport("the loss of '%s' does not depend on its parameters" % name)
            gradients += [one for one in found if one is not None]
        along = sum((one * 0.5).sum() for one in gradients)
        if along.requires_grad:
            torch.autograd.grad(along, values, allow_unused=True)
    except RuntimeError as error:
        raise CannotExport("terms(): has no second derivative: " + first_line(error)) from error


def mixing(run, x, used, players):
    """Names of parts where an instance's number changes with another instance."""
    changed = x.clone()
    changed[0] = x[-1] * 0.75 + x[0] * 0.125
    before, after = run(x), run(changed)
    found, at = [], 0
    for name, parts in zip(players.modules, used):
        for part in PARTS:
            if not parts[part]:
                continue
            one, other = before[at], after[at]
            at += 1
            if part == "instances":
                one, other = one[1:], other[1:]
            if one.numel() and largest([one - other]) > 1e-12 * max(1.0, largest([one])):
                found.append("the %s of '%s'" % ("penalty" if part == "penalty" else part + " terms", name))
    return found
