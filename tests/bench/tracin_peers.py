"""TracIn of tracin_torch.py's VAEs by captum's TracInCP and dattri's TracInAttributor, as their users would write it best.

Both need all queries' gradients before the first instance's (dattri again for every batch of instances), so that an
instance's time is the difference of two passes over different numbers of them.
"""
import time

import torch

COUNTS = 8, 104  # instances of the two passes, over those there are again and again; of both the queries take seconds


def captum_scores(loss_of, x, noise, queries, query_noise):
    """[Q, n], or [n] of self-influence. One instance a batch: captum takes each gradient of a batch through the whole batch."""
    from captum.influence import TracInCP

    class Losses(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = loss_of

        def forward(self, points, eps):
            return torch.stack([self.one(*pair) for pair in zip(points, eps)])

    def loader(points, eps):
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(points, eps, torch.zeros(len(points))), batch_size=1)

    tracin = TracInCP(Losses(), loader(x, noise), ["the model as it is"], checkpoints_load_func=lambda model, path: 1.0,
                      loss_fn=lambda losses, labels: losses)
    return tracin.self_influence() if queries is None else tracin.influence(loader(queries, query_noise))


def dattri_scores(loss_of, x, noise, queries, query_noise):
    """[Q, n], or [n] of self-influence: torch.func.vmap(grad) over all instances at once."""
    from dattri.algorithm.tracin import TracInAttributor
    from dattri.task import AttributionTask

    def loss(parameters, data):
        return torch.func.functional_call(loss_of, parameters, tuple(data))

    def loader(points, eps, batch):
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(points, eps), batch_size=batch)

    values = {name: value.detach() for name, value in loss_of.named_parameters()}
    task = AttributionTask(loss_func=loss, model=loss_of, checkpoints=[values])
    attributor = TracInAttributor(task=task, weight_list=torch.ones(1), normalized_grad=False)
    attributor.projector_kwargs = None  # which it would else replace by a projection to 512 numbers
    instances = loader(x, noise, len(x))
    if queries is None:
        return attributor.self_attribute(instances)
    return attributor.attribute(instances, loader(queries, query_noise, 16)).T


def peers_turn(loss_of, x, noise, queries, query_noise):
    """{"self captum": (ms of processor time an instance, scores of x's first), ...}."""
    found = {}
    for library, way in (("captum", captum_scores), ("dattri", dattri_scores)):
        for kind, pair in (("self", (None, None)), ("queries", (queries, query_noise))):
            seconds = []
            way(loss_of, x[:2], noise[:2], *(None if rows is None else rows[:2] for rows in pair))  # what only the first pass takes
            for count in COUNTS:
                rows = torch.arange(count) % len(x)
                begin = time.process_time()
                scores = way(loss_of, x[rows], noise[rows], *pair).detach()
                seconds.append(time.process_time() - begin)
            each = 1e3 * (seconds[1] - seconds[0]) / (count - COUNTS[0])
            found["%s %s" % (kind, library)] = each, scores[..., :len(x)]
    return found
