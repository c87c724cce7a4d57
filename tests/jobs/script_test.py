"""Games exported from PyTorch (--game script:FILE): what built-in games give on the torch engine, ranks, kill and resume,
a model that was moved."""

import os
import random
import shutil

import numpy as np
import torch
import torch.nn.functional as F

import script_support
from interrupt_support import kill_when, read_when_there
from script_support import Dcgan, Fcgan, MlpVae, whence
from support import whence as run_whence
from support import Job, ProgramTest, arrays, attributes, main, relative_difference
from vae_support import write_idx

FCGAN = ("--data", "normal2d", "--instances", 120, "--held-out", 40, "--batch", 20, "--seed", 3,
         "--dtype", "float64", "--engine", "torch")
SHORT = ("--epochs", 3)
VAE = ("--instances", 60, "--held-out", 20, "--epochs", 3, "--batch", 12, "--dtype", "float64", "--engine", "torch")


def twice_smooth(h):
    """elu(h, 2) + relu(h): its slope does not jump."""
    return torch.where(h > 0, 2 * h, 2 * torch.expm1(h))


class Bent(whence.Game):
    """Least squares on bent(x a)."""
    noise = 1

    def __init__(self, bent):
        self.players, self.bent = {"net": torch.nn.Linear(2, 6).double()}, bent

    def terms(self, players, x, noise, labels):
        return {"net": whence.Terms(instances=(self.bent(players["net"](x)).sum(1) - 1).square())}


class ScriptTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.built_in = cls.train("gan", "--game", "fcgan", "--preset", "paper", "--generator-output", "linear",
                                 "--generator-hidden", 8, "--discriminator-hidden", 8, "--rate-generator", 0.1,
                                 "--rate-discriminator", 0.2, "--latent", 10, *FCGAN, *SHORT)
        cls.model = os.path.join(cls.place, "gan.pt")
        script_support.export(Fcgan(2, 8), cls.model, 2, script_support.start_of(cls.built_in))
        cls.options = ("--game", "script:" + cls.model, "--rates", "0.1,0.2", *FCGAN)
        cls.gan = cls.train("script-gan", *cls.options, *SHORT)

    def same(self, folder, other, name, arrays_of, tolerance=1e-12):
        one, two = arrays(os.path.join(folder, name)), arrays(os.path.join(other, name))
        for array in arrays_of:
            self.assertGreater(np.abs(two[array]).max(), 0)
            self.assertLess(relative_difference(one[array], two[array]), tolerance, array)

    def influence_and_truth(self, folder, metrics, back="1,3", targets=12, **how):
        self.run_fine("influence", "--run", folder, "--metric", metrics, "--epochs-back", back,
                      "--kink-width", "1e-3,0", "--crossings", "off", "--overwrite", **how)
        self.run_fine("counterfactual", "--run", folder, "--metric", metrics, "--epochs-back", back, "--targets", targets,
                      "--overwrite", **how)

    def same_truth(self, folder, other):
        """Counterfactuals of two games that are one: to 1e-12 of each metric's value. An influence is the difference of two
        such values, each of which is rounded by about 1e-16 of itself, and may be much smaller than they are."""
        one, two = (arrays(os.path.join(place, "counterfactual.h5")) for place in (folder, other))
        np.testing.assert_array_equal(one["target_position"], two["target_position"])
        for number, value in enumerate(arrays(os.path.join(other, "influence.h5"))["value"].ravel()):
            truth = two["influence"][number]
            np.testing.assert_allclose(one["influence"][number], truth, rtol=0, atol=1e-12 * abs(value))
            self.assertGreater(np.abs(truth).max(), 1e-9 * abs(value))

    def test_a_gan_is_the_built_in_one(self):
        metrics = "all,disc-loss,gen-loss"
        for folder in (self.built_in, self.gan):
            self.influence_and_truth(folder, metrics)
            self.run_fine("validate", "--run", folder)
        self.same(self.gan, self.built_in, "trajectory.h5", ["params", "rate"])
        self.same(self.gan, self.built_in, "influence.h5", ["influence", "value"])
        self.same_truth(self.gan, self.built_in)

    def test_a_gan_trained_with_a_state_is_the_built_in_one(self):
        how = ("--optimiser", "adamw", "--average", 0.9, "--clip-norm", 0.3, "--update", "alternating",
               "--discriminator-steps", 2, *FCGAN, *SHORT)
        built_in = self.train("gan-adamw", "--game", "fcgan", "--preset", "paper", "--generator-output", "linear",
                              "--generator-hidden", 8, "--discriminator-hidden", 8, "--rate-generator", 0.01,
                              "--rate-discriminator", 0.02, "--latent", 10, *how)
        exported = self.train("script-adamw", "--game", "script:" + self.model, "--rates", "0.01,0.02", *how)
        for folder in (built_in, exported):
            self.influence_and_truth(folder, "disc-loss,gen-loss")
        self.same(exported, built_in, "trajectory.h5", ["params", "rate"], 1e-9)
        self.same(exported, built_in, "influence.h5", ["influence", "value"], 1e-7)
        self.same(exported, built_in, "counterfactual.h5", ["influence"], 1e-7)

    def test_a_vae_is_the_built_in_one(self):
        images = np.random.default_rng(2).integers(0, 256, (90, 4, 5)).astype(np.uint8)
        write_idx(self.path("x.idx"), images)
        data = ("--data", "idx:" + self.path("x.idx"), *VAE)
        built_in = self.train("vae", "--game", "mlp-vae", "--latent", 3, "--hidden", 9, "--beta", 2, "--rate", 0.02, *data)
        script_support.export(MlpVae(20, 9, 3, 2.0), self.path("vae.pt"), (4, 5), script_support.start_of(built_in), 0.0)
        exported = self.train("script-vae", "--game", "script:" + self.path("vae.pt"), "--rates", 0.02, *data)
        for folder in (built_in, exported):
            self.influence_and_truth(folder, "loss,loss:4")
        self.same(exported, built_in, "trajectory.h5", ["params"])
        self.same(exported, built_in, "influence.h5", ["influence", "value"])
        self.same(exported, built_in, "counterfactual.h5", ["influence"])  # of the largest influence
        self.same_truth(exported, built_in)

    def test_a_dcgan_is_the_built_in_one(self):
        """Of `all` only the value: so small a generator hardly moves it, and one rounding of theta changes its influence, 1e-10
        of its value, in the eighth digit."""
        images = np.random.default_rng(2).integers(0, 256, (32, 28, 28)).astype(np.uint8)
        write_idx(self.path("x28.idx"), images)
        data = ("--data", "idx:" + self.path("x28.idx"), "--instances", 20, "--held-out", 12, "--epochs", 2, "--batch", 5,
                "--dtype", "float64", "--engine", "torch")
        built_in = self.train("dcgan", "--game", "dcgan", "--latent", 3, "--channels", 2, "--rate-generator", 0.01,
                              "--rate-discriminator", 0.02, *data)
        script_support.export(Dcgan(3, 2), self.path("dcgan.pt"), (28, 28), script_support.start_of(built_in))
        exported = self.train("script-dcgan", "--game", "script:" + self.path("dcgan.pt"), "--rates", "0.01,0.02",
                              "--pixels", "minus-one-to-one", *data)
        for folder in (built_in, exported):
            self.influence_and_truth(folder, "disc-loss,gen-loss", back="1,2", targets=4)
        self.same(exported, built_in, "trajectory.h5", ["params"])
        self.same(exported, built_in, "influence.h5", ["influence", "value"])
        self.same_truth(exported, built_in)
        for folder in (built_in, exported):
            self.run_fine("influence", "--run", folder, "--metric", "all", "--epochs-back", 1, "--overwrite")
        self.same(exported, built_in, "influence.h5", ["value"])

    def test_ranks(self):
        """Training and tracing back agree within rounding, counterfactuals to the bit."""
        self.influence_and_truth(self.gan, "all,fooled")
        first = {name: arrays(os.path.join(self.gan, name)) for name in ("influence.h5", "counterfactual.h5")}
        for ranks in (2, 3):
            again = self.train("ranks%d" % ranks, *self.options, *SHORT, ranks=ranks)
            self.same(again, self.gan, "trajectory.h5", ["params"], 1e-10)
            self.influence_and_truth(self.gan, "all,fooled", ranks=ranks)
            np.testing.assert_array_equal(first["counterfactual.h5"]["influence"],
                                          arrays(os.path.join(self.gan, "counterfactual.h5"))["influence"])
            self.assertLess(relative_difference(first["influence.h5"]["influence"],
                                                arrays(os.path.join(self.gan, "influence.h5"))["influence"]), 1e-10)

    def test_parameters_from_another_file(self):
        """--from MODEL.pt: those that another export of the game starts from; --from STATE.pt: a module's state_dict, with the
        player's name before the tensors' or, of one player, without it."""
        torch.manual_seed(8)
        other = Fcgan(2, 8)
        script_support.export(other, self.path("tuned.pt"), 2)
        theta = torch.cat([one.flatten() for player in other.players.values() for one in player.parameters()]).detach().numpy()
        torch.save({name: player.state_dict() for name, player in other.players.items()}, self.path("state.pt"))
        for number, name in enumerate(("tuned.pt", "state.pt")):
            run = self.train("from%d" % number, *self.options, *SHORT, "--from", self.path(name))
            np.testing.assert_array_equal(script_support.start_of(run), theta)
        self.assert_refused(("train", "--out", self.path("no-run"), *self.options, *SHORT, "--from", self.path("tuned.pt:net")),
                            "--from", "'net'")
        whence.export(Bent(torch.relu), self.path("net.pt"), torch.randn(8, 2).double())
        single = Bent(torch.relu)
        torch.save({"net": {"state": single.players["net"].state_dict()}}, self.path("net-state.pt"))
        run = self.train("from-net", "--game", "script:" + self.path("net.pt"), "--rates", 0.01, *FCGAN, "--epochs", 1, "--from",
                         self.path("net-state.pt:net.state"))
        np.testing.assert_array_equal(script_support.start_of(run),
                                      torch.cat([one.flatten() for one in single.players["net"].parameters()]).detach().numpy())
        self.assert_refused(("train", "--out", self.path("no-run"), *self.options, *SHORT, "--from", self.path("net.pt")),
                            "--from", "net.pt", "generator.0.weight")

    def test_its_own_metric(self):
        """The influence on `fooled` is its change, to first order."""
        self.run_fine("influence", "--run", self.gan, "--metric", "fooled", "--epochs-back", 1, "--overwrite")
        self.run_fine("counterfactual", "--run", self.gan, "--metric", "fooled", "--epochs-back", 1, "--targets", 60,
                      "--overwrite")
        estimate, truth = (arrays(os.path.join(self.gan, name)) for name in ("influence.h5", "counterfactual.h5"))
        chosen = estimate["influence"][0, 0, 0][truth["target_position"]]
        self.assertGreater(np.corrcoef(chosen, truth["influence"][0, 0])[0, 1], 0.99)
        self.assert_refused(("influence", "--run", self.gan, "--metric", "fooling"), "--metric", "fooling")

    def test_cleansing_by_its_own_metric(self):
        folder = self.train("cleansed", *self.options, *SHORT, "--test", 30)
        self.run_fine("influence", "--run", folder, "--metric", "fooled,disc-loss")
        self.run_fine("cleanse", "--run", folder, "--select", "influence:fooled,random", "--metric", "fooled",
                      "--remove", 10)
        cleansed = arrays(os.path.join(folder, "cleansing.h5"))
        # Smaller is better: what is predicted to make `fooled` smaller without it is removed first.
        influence = arrays(os.path.join(folder, "influence.h5"))["influence"][0, 0, 0]
        np.testing.assert_array_equal(cleansed["harm"][0], -influence)

    def test_kinks(self):
        """Whatever jumps at known places has the curvature of the same function written with relu; others are named."""
        bent = lambda h: (F.leaky_relu(h, 0.2) + h.clamp(-0.5, 1.0) + h.abs() + F.relu6(h) + F.hardtanh(h)
                          + F.elu(h, 2.0) + F.relu(h * 1.5, inplace=True))
        relu = torch.relu
        same = lambda h: (0.2 * h + 0.8 * relu(h) - 0.5 + relu(h + 0.5) - relu(h - 1) + 2 * relu(h) - h + relu(h)
                          - relu(h - 6) - 1 + relu(h + 1) - relu(h - 1)
                          + twice_smooth(h) - relu(h) + relu(1.5 * h))
        influence = []
        for name, function in (("bent", bent), ("same", same)):
            torch.manual_seed(4)
            whence.export(Bent(function), self.path(name + ".pt"), torch.randn(8, 2).double())
            folder = self.train(name, "--game", "script:" + self.path(name + ".pt"), "--rates", 0.01, *FCGAN, "--epochs", 2)
            self.run_fine("influence", "--run", folder, "--metric", "loss", "--epochs-back", 2, "--kink-width", "0.1,0")
            influence.append(arrays(os.path.join(folder, "influence.h5"))["influence"])
        self.assertLess(relative_difference(*influence), 1e-10)
        self.assertGreater(relative_difference(influence[0][0], influence[0][1]), 1e-3)
        whence.export(Bent(lambda h: h + F.max_pool1d(h[:, None], 1).squeeze(1)), self.path("pool.pt"), torch.randn(8, 2))
        folder = self.train("pool", "--game", "script:" + self.path("pool.pt"), "--rates", 0.01, *FCGAN, "--epochs", 1)
        told = run_whence("influence", "--run", folder, "--metric", "loss")
        self.assertEqual(told.code, 0, str(told))
        self.assertIn("max_pool1d", told.err)

    def test_penalties_of_parameters_that_are_asked_for(self):
        """module.parameters() gives the tensors that the trace takes, and recurrent modules compute with them."""
        class Recurrent(whence.Game):
            noise = 1

            def __init__(self):
                self.players = {"net": torch.nn.LSTM(2, 3, batch_first=True)}

            def terms(self, players, x, noise, labels):
                return {"net": whence.Terms(instances=players["net"](x[:, None])[0].square().sum((1, 2)),
                                            penalty=0.1 * sum(one.square().sum() for one in players["net"].parameters()))}

        torch.manual_seed(4)
        game = Recurrent()
        about = whence.export(game, self.path("lstm.pt"), torch.randn(8, 2))
        self.assertEqual(about["terms"], [{"instances": True, "noise": False, "penalty": True}])
        values = np.random.default_rng(1).normal(size=(30, 2))
        np.save(self.path("points.npy"), values)
        folder = self.train("lstm", "--game", "script:" + self.path("lstm.pt"), "--rates", 0.1, "--data",
                            "npy:" + self.path("points.npy"), "--instances", 20, "--held-out", 10, "--batch", 10, "--epochs", 1,
                            "--dtype", "float64")
        run = arrays(os.path.join(folder, "trajectory.h5"))
        points = torch.tensor(values[run["instance_id"]][run["batch"][0]])
        game.players["net"].double()
        terms = game.terms(game.players, points, None, None)["net"]
        own = list(game.players["net"].parameters())
        gradient = torch.autograd.grad(terms.instances.mean() + terms.penalty, own)
        expected = torch.cat([(p - 0.1 * g).flatten() for p, g in zip(own, gradient)]).detach().numpy()
        np.testing.assert_allclose(run["params"][1], expected, rtol=0, atol=1e-14)

    def test_killed_and_resumed(self):
        # What the optimiser remembers goes on, too.
        options, folder = (*self.options, "--epochs", 500, "--optimiser", "adam"), self.path("killed")
        job, part = Job("train", "--out", folder, "--quiet", *options), os.path.join(folder, "trajectory.h5.part")

        def reached():
            committed = read_when_there(part, "committed")
            return committed is not None and committed[0] >= 5

        self.assertTrue(kill_when(job, reached, False, random.Random(1)), "the run ended before it could be killed")
        self.assertTrue(os.path.exists(part))
        self.train("killed", *options)
        self.assert_same_arrays(os.path.join(self.train("whole", *options), "trajectory.h5"),
                                os.path.join(folder, "trajectory.h5"))

    def test_the_model_is_part_of_every_file(self):
        self.run_fine("influence", "--run", self.gan, "--metric", "gen-loss", "--overwrite")
        crc = attributes(os.path.join(self.gan, "trajectory.h5"))["model"]
        self.assertRegex(crc, "^crc32=[0-9a-f]{8} bytes=[0-9]+ torch=")
        self.assertEqual(attributes(os.path.join(self.gan, "influence.h5"))["model"], crc)
        self.run_fine("verify", "--run", self.gan)

    def test_a_model_that_was_moved(self):
        folder = self.copy_of(self.gan, "moved-run")
        os.makedirs(self.path("elsewhere"), exist_ok=True)
        moved, other = self.path("elsewhere", "renamed.pt"), self.path("elsewhere", "other.pt")
        shutil.move(self.model, moved)
        try:
            self.assert_refused(("influence", "--run", folder), "--game", "gan.pt")
            self.run_fine("influence", "--run", folder, "--metric", "all", "--game", "script:" + moved, "--overwrite")
            self.run_fine("verify", "--run", folder, "--game", "script:" + moved)
            self.assertIn("gan.pt", self.run_fine("verify", "--run", folder).out)
            script_support.export(Fcgan(2, 8), other, 2)
            self.assert_refused(("influence", "--run", folder, "--game", "script:" + other), "other.pt", "crc32")
        finally:
            shutil.move(moved, self.model)


if __name__ == "__main__":
    main()
