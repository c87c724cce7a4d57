"""whence tracin on games that are no VAEs, and with metrics, files, sums, cosines and layers by name: against gradients of
each instance by PyTorch, and against each other."""

import json
import os

import h5py
import numpy as np

from support import SOURCE, ProgramTest, arrays, attributes, main, tiny, whence
from vae_support import (TRACIN_INSTANCES, TRACIN_QUERIES, VALIDATION_LATENTS, keyed_noise, normals, torch_or_skip, vae,
                         write_idx)


def close(a, b, tolerance=1e-10):
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


class GamesTest(ProgramTest):
    def tracin(self, folder, *options, name="", ranks=1):
        self.run_fine("tracin", "--run", folder, *options, *(["--name", name] if name else []), "--quiet", ranks=ranks)
        return arrays(os.path.join(folder, "tracin%s.h5" % ("-" + name if name else "")))

    def networks(self, folder, step):
        """{name: tensor of the recorded step, which wants a gradient}."""
        torch = torch_or_skip()
        run, layout = arrays(folder + "/trajectory.h5"), json.loads(attributes(folder + "/trajectory.h5")["layout"])
        theta = run["params"][list(run["steps"]).index(step)]
        found = {}
        for entry in layout:
            values = theta[entry["offset"]:entry["offset"] + int(np.prod(entry["shape"]))].reshape(entry["shape"])
            found[entry["name"]] = torch.tensor(values, requires_grad=True)
        return found


    def assert_with_cosines_is_two_jobs(self, *options):
        apart, together = (self.copy_of(self.run_folder, name) for name in ("apart", "together"))
        self.tracin(apart, *options)
        self.tracin(apart, *options, "--normalise", name="cosines")
        self.tracin(together, *options, "--with-cosines", ranks=2)
        files = ["tracin.h5", "tracin-cosines.h5"]
        for file in files:
            self.assert_same_bytes(os.path.join(together, file), os.path.join(apart, file))
        there = os.stat(os.path.join(together, files[0])).st_mtime_ns
        os.remove(os.path.join(together, files[1]))
        with open(os.path.join(together, "tracin.h5.part"), "w") as other:
            other.write("of another job, which makes tracin.h5 anew")
        self.tracin(together, *options, "--with-cosines")
        self.assert_same_bytes(*(os.path.join(folder, files[1]) for folder in (together, apart)))
        self.assertEqual(os.stat(os.path.join(together, files[0])).st_mtime_ns, there, "what is there stays")
        done = self.run_fine("tracin", "--run", together, *options, "--normalise", "--name", "cosines")
        self.assertIn("tracin-cosines.h5: already there", done.err)


class GanTest(GamesTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.draw = np.random.default_rng(3)
        cls.points = cls.draw.normal(size=(130, 2))
        with h5py.File(cls.place + "/x.h5", "w") as file:
            file["X"] = cls.points
        cls.run_folder = cls.train("gan", *tiny(instances=100, held_out=20, epochs=3, batch=20), "--data",
                                   "hdf5:%s/x.h5" % cls.place, "--record", "every:5")

    @staticmethod
    def forward(networks, x):
        torch = torch_or_skip()
        for number, weight in enumerate(networks):
            x = x @ weight if weight.shape[0] == x.shape[1] else x @ weight.T
            x = torch.relu(x) if number + 1 < len(networks) else x
        return x

    def gradients(self, step, points, names="discriminator", sign=-1):
        """grad of softplus(sign D(x)) of each point [n, P], by one backward pass each."""
        torch = torch_or_skip()
        networks = {name: tensor for name, tensor in self.networks(self.run_folder, step).items()
                    if name.startswith("discriminator")}
        rows, losses = [], []
        for point in points:
            x = self.forward(list(networks.values()), torch.tensor(point[None]))
            loss = torch.nn.functional.softplus(sign * x).sum()
            losses.append(loss.item())
            rows.append(np.concatenate([g.numpy().ravel() if name.startswith(names) else 0 * g.numpy().ravel()
                                        for name, g in zip(networks, torch.autograd.grad(loss, networks.values()))]))
        return np.array(rows), np.array(losses)

    def of_run(self):
        run = arrays(self.run_folder + "/trajectory.h5")
        return self.points[run["instance_id"]], [int(step) for step in run["steps"] if step > 0]

    def test_scores_are_products_of_explicit_gradients(self):
        found = self.tracin(self.run_folder, "--queries", "train:6", "--samples", 1)
        points, steps = self.of_run()
        np.testing.assert_array_equal(found["step"], steps)
        expected = 0
        for number, step in enumerate(steps):
            gradients, losses = self.gradients(step, points)
            expected = expected + gradients[:6] @ gradients.T
            close(found["loss"][number], losses)
            close(found["query_loss"][number], losses[:6])
        close(found["score"], expected)
        self.assertNotIn("latent_mean", found)

    def test_self_influence_cosines_layers_and_sums(self):
        points, steps = self.of_run()
        step = steps[-1]
        at = ("--checkpoints", step, "--samples", 1)
        gradients, losses = self.gradients(step, points)
        norms = np.linalg.norm(gradients, axis=1)
        close(self.tracin(self.run_folder, "--queries", "self", *at, name="self")["self_influence"], norms ** 2)
        cosine = self.tracin(self.run_folder, "--queries", "train:6", "--normalise", *at, name="cosine")["score"]
        close(cosine, gradients[:6] @ gradients.T / norms[:6, None] / norms)
        close(np.diag(cosine), np.ones(6), 1e-12)
        other = whence("tracin", "--run", self.run_folder, "--queries", "train:6", *at, "--name", "cosine", "--quiet")
        self.assert_one_sentence(other, "tracin", "cosine.h5", "normalise is true there and not given here")
        first, _ = self.gradients(step, points, "discriminator.0")
        layer = self.tracin(self.run_folder, "--queries", "train:6", "--layers", "discriminator.0.*", *at, name="layer")
        close(layer["score"], first[:6] @ first.T)
        total = self.tracin(self.run_folder, "--queries", "sum:train:6", *at, name="sum")
        close(total["score"], (gradients[:6].sum(0) @ gradients.T)[None])
        close(total["query_loss"], [[losses[:6].sum()]])

    def test_cosines_beside_scores_are_those_of_two_jobs(self):
        self.assert_with_cosines_is_two_jobs("--queries", "train:7", "--samples", 1, "--weights", "visits")

    def test_instances_of_another_file(self):
        step = self.of_run()[1][-1]
        other = self.draw.normal(size=(7, 2))
        np.save(self.path("other.npy"), other)
        found = self.tracin(self.run_folder, "--queries", "file:npy:" + self.path("other.npy"), "--checkpoints", step,
                            name="other")
        close(found["score"], self.gradients(step, other)[0] @ self.gradients(step, self.of_run()[0])[0].T)
        np.testing.assert_array_equal(found["query_id"], np.arange(7))
        np.testing.assert_array_equal(found["query_position"], -1)
        np.save(self.path("wide.npy"), self.draw.normal(size=(7, 3)))
        self.assert_refused(["tracin", "--run", self.run_folder, "--queries", "file:npy:" + self.path("wide.npy"), "--name",
                             "wide"], "--queries", "[3]")

    def test_metrics_of_the_game(self):
        step = self.of_run()[1][-1]
        run = self.copy_of(self.run_folder, "metrics")
        found = self.tracin(run, "--queries", "metric:disc-loss,all", "--checkpoints", step)
        self.assertEqual(found["score"].shape, (2, 100))
        # The discriminator's loss on the held-out instances and on points generated from the run's validation latents.
        held_out = self.points[self.tracin(run, "--queries", "test:20", "--checkpoints", step, name="held")["query_id"]]
        torch = torch_or_skip()
        generator = [tensor for name, tensor in self.networks(run, step).items() if name.startswith("generator")]
        latents = normals(0, VALIDATION_LATENTS, 0, 0, 200).reshape(20, 10)
        made = self.forward(generator, torch.tensor(latents)).detach().numpy()
        real, generated = self.gradients(step, held_out), self.gradients(step, made, sign=1)
        close(found["query_loss"][0, 0], (real[1].sum() + generated[1].sum()) / 20)
        u = (real[0].sum(0) + generated[0].sum(0)) / 20
        close(found["score"][0], self.gradients(step, self.of_run()[0])[0] @ u)
        self.assertIn("metrics disc-loss, all", attributes(run + "/tracin.h5")["queries"])

    def test_ranks_and_blocks_do_not_change_a_byte(self):
        for options in (("--queries", "test:5"), ("--queries", "self"), ("--queries", "metric:gen-loss,all"),
                        ("--queries", "sum:test:9", "--normalise")):
            folders = [self.copy_of(self.run_folder, "on-%d" % ranks) for ranks in (1, 2, 3)]
            for ranks, folder in enumerate(folders, 1):
                self.tracin(folder, *options, ranks=ranks)
                self.assert_same_bytes(*(os.path.join(f, "tracin.h5") for f in (folder, folders[0])))

    def test_what_only_vaes_have_is_refused(self):
        for options in (("--loss", "scoring"), ("--estimator", "score-function"), ("--layers", "last:1"),
                        ("--layers", "decoder.*"), ("--queries", "metric:loss:3"), ("--queries", "sum:self"),
                        ("--queries", "file:/nowhere.h5"), ("--queries", "metric:fid")):
            name = "--metric" if options[1] == "metric:loss:3" else "--classifier" if options[1] == "metric:fid" else options[0]
            name = "/nowhere.h5" if "nowhere" in options[1] else name
            queries = () if "--queries" in options else ("--queries", "test:5")
            self.assert_refused(["tracin", "--run", self.run_folder, *queries, *options], name, folder=self.run_folder)
        for cosines in ("--normalise", "--with-cosines"):
            self.assert_refused(["tracin", "--run", self.run_folder, "--queries", "self", cosines], cosines)
        self.assert_refused(["tracin", "--run", self.run_folder, "--with-cosines", "--normalise"], "--with-cosines")


class VaeTest(GamesTest):
    """What goes through the engine agrees with the fast way."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.images = np.random.default_rng(1).integers(0, 256, (80, 4, 4)).astype(np.uint8)
        with h5py.File(cls.place + "/x.h5", "w") as file:
            file["X"] = cls.images
        cls.run_folder = cls.train("vae", *vae("hdf5:%s/x.h5" % cls.place, instances=60, steps=30, hidden="6,5", latent=2),
                                   "--dtype", "float64")

    def test_a_metric_is_the_query_of_the_same_instance_and_noise(self):
        fast = self.tracin(self.run_folder, "--queries", "test:3", "--query-noise", "fixed", "--samples", 1, name="fast")
        metric = self.tracin(self.run_folder, "--queries", "metric:loss:0,loss:1,loss:2", "--samples", 1, name="metric")
        close(metric["score"], fast["score"])
        close(metric["query_loss"], fast["query_loss"])
        close(metric["loss"], fast["loss"])

    def test_sums_files_and_layers(self):
        fast = self.tracin(self.run_folder, "--queries", "test:5", "--samples", 4, name="each")
        total = self.tracin(self.run_folder, "--queries", "sum:test:5", "--samples", 4, name="total")
        close(total["score"][0], fast["score"].sum(0))
        # The same rows of the same file have the same ids, and so the same noise.
        file = self.tracin(self.run_folder, "--queries", "file:%s/x.h5" % self.place, "--samples", 4, name="file")
        close(file["score"][fast["query_id"]], fast["score"], 1e-13)
        layers = ["encoder.*", "decoder.0.*,decoder.1.*", "decoder.2.*"]
        parts = [self.tracin(self.run_folder, "--queries", "test:5", "--samples", 4, "--layers", pattern, name="part%d" % i)
                 for i, pattern in enumerate(layers)]
        close(sum(part["score"] for part in parts), fast["score"])
        by_engine = [self.tracin(self.run_folder, "--queries", "test:5", "--samples", 4, "--layers", pattern, name="kind%d" % i)
                     for i, pattern in enumerate(("*.weight", "*.bias"))]
        close(sum(part["score"] for part in by_engine), fast["score"])

    def test_cosines_beside_scores_are_those_of_two_jobs(self):
        # By --memory in several chunks of queries and blocks of instances.
        self.assert_with_cosines_is_two_jobs("--queries", "test:20", "--samples", 4, "--memory", 1, "--weights", "rate")

    def test_cosines_are_products_over_norms(self):
        at = ("--samples", 4, "--checkpoints", "last", "--queries", "train:6")
        cosine = self.tracin(self.run_folder, *at, "--normalise", name="cosine")["score"]
        products = self.tracin(self.run_folder, *at, name="products")["score"]
        norms = np.sqrt(self.tracin(self.run_folder, *at[:4], "--queries", "self", name="norms")["self_influence"])
        # Queries have noise of their own, so their norms are found from the ratios.
        ratio = products / norms / cosine
        close(ratio, np.repeat(ratio[:, :1], 60, axis=1))
        self.assertLessEqual(np.abs(cosine).max(), 1)
        engine = self.tracin(self.run_folder, *at[:4], "--queries", "sum:train:1", "--normalise", name="engine")["score"]
        close(engine[0], cosine[0])


class ExportedTest(GamesTest):
    """Games of PyTorch: directional derivatives and replicas of one instance each are the module's own gradients, taken
    instance by instance in Python without a file or a graph."""
    SAMPLES = 2

    def check(self, name, game, shape, low=0.0, labels=None):
        """Scores and self-influence of a run of the exported game, at its end."""
        torch = torch_or_skip()
        import script_support
        draw, more, options = np.random.default_rng(6), {}, ()
        images = draw.integers(0, 256, (24,) + shape).astype(np.uint8)
        write_idx(self.path(name + "-x.idx"), images)
        data = "idx:" + self.path(name + "-x.idx")
        if labels:
            more["labels"] = torch.arange(8) % labels
            marks = np.arange(24) % labels
            write_idx(self.path(name + "-y.idx"), marks)
            data += "," + self.path(name + "-y.idx")
        script_support.export(game, self.path(name + ".pt"), (1,) + shape, low=low, **more)
        run = self.train(name, "--game", "script:" + self.path(name + ".pt"), "--data", data, "--instances", 16, "--held-out", 8,
                         "--batch", 8, "--epochs", 1, "--rates", 0.01, "--dtype", "float64", "--pixels",
                         "minus-one-to-one" if low else "zero-to-one")
        at = ("--samples", self.SAMPLES, "--checkpoints", "last")
        scores = self.tracin(run, "--queries", "test:3", *at)
        norms = self.tracin(run, "--queries", "self", *at, name="self")["self_influence"]
        trajectory = arrays(run + "/trajectory.h5")
        for player in game.players.values():
            player.double()
        script_support.load_flat(game.players, trajectory["params"][-1])
        pixels = images / 255.0 if not low else images / 127.5 - 1

        def gradients(ids, purpose):
            rows = []
            noises = keyed_noise(0, purpose, int(scores["step"][0]), [int(i) for i in ids], self.SAMPLES, game.noise)
            for j, noise in zip(ids, noises):
                x = torch.tensor(pixels[j]).expand(self.SAMPLES, 1, *shape)
                label = torch.full((self.SAMPLES,), int(marks[j])) if labels else None
                terms, row = game.terms(game.players, x, torch.tensor(noise), label), []
                for player, module in game.players.items():
                    own, loss = list(module.parameters()), terms[player].instances
                    found = (torch.autograd.grad(loss.mean(), own, retain_graph=True) if loss is not None
                             else [torch.zeros_like(one) for one in own])
                    row += [one.flatten() for one in found]
                rows.append(torch.cat(row).numpy())
            return np.array(rows)

        of_instances = gradients(trajectory["instance_id"], TRACIN_INSTANCES)
        close(norms, (of_instances ** 2).sum(1))
        close(scores["score"], gradients(scores["query_id"], TRACIN_QUERIES) @ of_instances.T)
        self.assertGreater(np.abs(scores["score"]).max(), 0)

    def test_a_loss_that_holds_a_gradient(self):
        torch_or_skip().manual_seed(1)
        self.check("wgan", self.example("wgan_gp").WganGpGame(16, 5, 3), (4, 4), -1.0)

    def test_labels_in_two_players(self):
        torch_or_skip().manual_seed(1)
        self.check("cond", self.example("dcgan").DcganGame(3, 2, 8), (8, 8), -1.0, labels=10)

    def test_one_player_with_normalisation_and_attention(self):
        torch_or_skip().manual_seed(1)
        self.check("ddpm", self.example("ddpm").DdpmGame(4, 8), (8, 8), -1.0)

    @staticmethod
    def example(name):
        import importlib
        import sys
        place = os.path.join(SOURCE, "tools", "examples")
        if place not in sys.path:
            sys.path.insert(0, place)
        return importlib.import_module(name)


class DcganTest(GamesTest):
    """The built-in convolutional GAN, by kernels of its own: the module's gradients in PyTorch."""

    def test_scores_are_products_of_explicit_gradients(self):
        torch = torch_or_skip()
        import script_support
        images = np.random.default_rng(4).integers(0, 256, (16, 28, 28)).astype(np.uint8)
        write_idx(self.path("d.idx"), images)
        game = script_support.Dcgan(3, 2)
        for engine in ("native", "torch"):
            run = self.train("dcgan-" + engine, "--game", "dcgan", "--latent", 3, "--channels", 2, "--data",
                             "idx:" + self.path("d.idx"), "--instances", 12, "--held-out", 4, "--batch", 6, "--epochs", 1,
                             "--dtype", "float64", "--engine", engine)
            trajectory, rows = arrays(run + "/trajectory.h5"), {}
            script_support.load_flat(game.players, trajectory["params"][-1])
            own, size = list(game.players["discriminator"].parameters()), trajectory["params"].shape[1]
            for j in range(16):
                x = torch.tensor(images[j:j + 1] / 127.5 - 1).reshape(1, 1, 28, 28)
                loss = script_support.softplus(-game.players["discriminator"](x)).sum()
                flat = torch.cat([one.flatten() for one in torch.autograd.grad(loss, own)]).numpy()
                rows[j] = np.concatenate([np.zeros(size - len(flat)), flat])
            of_instances = np.array([rows[int(j)] for j in trajectory["instance_id"]])
            found = self.tracin(run, "--queries", "test:3", "--checkpoints", "last")
            close(found["score"], np.array([rows[int(j)] for j in found["query_id"]]) @ of_instances.T)
            close(self.tracin(run, "--queries", "self", "--checkpoints", "last", name="self")["self_influence"],
                  (of_instances ** 2).sum(1))


class LabelsTest(GamesTest):
    def test_a_classifier_is_scored_with_its_labels(self):
        draw = np.random.default_rng(5)
        write_idx(self.path("x.idx"), draw.integers(0, 256, (40, 28, 28)))
        write_idx(self.path("y.idx"), draw.integers(0, 3, 40))
        run = self.train("judge", "--game", "classifier", "--data", "idx:%s,%s" % (self.path("x.idx"), self.path("y.idx")),
                         "--train-on", "instances", "--instances", 24, "--held-out", 8, "--batch", 8, "--epochs", 1,
                         "--optimiser", "sgd", "--dtype", "float64", "--test", 0)
        one = self.tracin(run, "--queries", "test:3", "--samples", 1, "--checkpoints", "last")
        two = self.tracin(run, "--queries", "metric:loss:0,loss:1", "--samples", 1, "--checkpoints", "last", name="metric")
        close(two["score"], one["score"][:2])
        close(two["query_loss"], one["query_loss"][:, :2])
        norms = self.tracin(run, "--queries", "self", "--samples", 1, "--checkpoints", "last", name="self")["self_influence"]
        train = self.tracin(run, "--queries", "train:24", "--samples", 1, "--checkpoints", "last", name="train")["score"]
        close(np.diag(train), norms)


if __name__ == "__main__":
    main()
