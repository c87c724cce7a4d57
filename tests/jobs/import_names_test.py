"""Imported checkpoints: which training step each is of, and which tensor is which, by what names and files say."""

import argparse
import copy
import json
import os
import sys

import numpy as np

from import_support import D, CheckpointsTest
from support import SOURCE, main, read_json


class StepsTest(CheckpointsTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        sys.path.insert(0, os.path.join(SOURCE, "tools"))
        from whence.checkpoints import failure, steps
        cls.steps, cls.ImportFailure = steps, failure.ImportFailure

    def folder(self, files):
        """A folder of checkpoints: name -> what it holds besides a tensor."""
        place = self.path("steps")
        os.makedirs(place, exist_ok=True)
        for name in os.listdir(place):
            os.remove(os.path.join(place, name))
        for name, more in files.items():
            self.torch.save({"w": self.torch.zeros(1), **more}, os.path.join(place, name))
        return place

    def found(self, files, choice=None):
        """{name: step}, and what is said besides."""
        files = files if isinstance(files, dict) else {name: {} for name in files}
        said = []
        steps = self.steps.checkpoints_of(self.folder(files), choice, False, said.append)
        self.assertEqual([step for step, _ in steps], sorted(step for step, _ in steps))
        return {os.path.basename(path): step for step, path in steps}, said

    def assert_steps(self, files, *steps, choice=None, says=()):
        found, said = self.found(files, choice)
        self.assertEqual([found[name] for name in files], list(steps))
        self.assertEqual(len(said), 1 if says else 0, said)
        for words in says:
            self.assertIn(words, said[0])

    def assert_undecided(self, files, *words, choice=None):
        with self.assertRaises(self.ImportFailure) as failure:
            self.found(files, choice)
        self.assertEqual(len(str(failure.exception).splitlines()), 1)
        for each in words:
            self.assertIn(each, str(failure.exception))

    def test_the_number_after_a_word_wins(self):
        self.assert_steps(["epoch=1-step=10-val_loss=0.35.pt", "epoch=2-step=20-val_loss=0.30.ckpt"], 10, 20)
        self.assert_steps(["step10_loss210.pt", "step20_loss200.pt"], 10, 20)
        self.assert_steps(["vae_step5000_d128.pt"], 5000)
        self.assert_steps(["d128_iter_7-epoch_9.pth"], 7)
        self.assert_steps(["Epoch-3_acc0.91.pt", "epoch-12_acc0.93.pt"], 3, 12)
        self.assert_steps(["global_step300.tar", "globalstep-1000.tar"], 300, 1000)
        self.assert_steps(["step_5k.pt", "step_900.pt", "step_1M.pt"], 5000, 900, 10 ** 6)
        self.assert_steps(["timesteps1000_step500.pt"], 500)

    def test_without_a_word_the_only_number_that_varies(self):
        self.assert_steps(["model_50.pt", "model_100.pt"], 50, 100)
        self.assert_steps(["vae_d128_900.pt", "vae_d128_1000.pt"], 900, 1000)
        self.assert_steps(["a5.pth.tar"], 5)

    def test_names_that_do_not_decide_are_refused_with_advice(self):
        for names in (["vae_5000_d128.pt"], ["m_10_210.pt", "m_20_200.pt"], ["m_10_d8.pt", "n_20_d8.pt"], ["last.pt"],
                      ["loss210.pt", "loss200.pt"], ["vae0.25.pt", "vae0.35.pt"], ["seed1.pt"], ["m_1e-4.pt"],
                      ["epoch=3-step=1e5.pt"], ["step1_step2.pt"], ["step10.5.pt"], ["step10.pt", "final20.pt"]):
            self.assert_undecided(names, "--step", r"'step=(\d+)'")
        self.assert_undecided(["a_5.pt", "b_5.pt"], "a_5.pt", "b_5.pt", "both of step 5")

    def test_a_pattern_chooses(self):
        self.assert_steps(["m_10_210.pt", "m_20_200.pt"], 10, 20, choice=r"m_(\d+)")
        self.assert_steps(["step=7-x=9.ckpt"], 9, choice=r"x=(\d+)")
        self.assert_steps(["5k-7.pt"], 5000, choice=r"(\d+k)")
        for pattern, words in (("x=(", "regular expression"), (r"\d+", "group"), (r"y=(\d+)", "step=7-x=9.ckpt"), (r"([a-z]+)=", "no step")):
            self.assert_undecided(["step=7-x=9.ckpt"], "--step", words, choice=pattern)

    def test_the_step_that_a_checkpoint_holds(self):
        tensor = self.torch.tensor
        self.assert_steps({"last.ckpt": {"global_step": 30}, "best.ckpt": {"step": tensor(20)}}, 30, 20)
        self.assert_steps({"m_10.pt": {"global_step": 10, "step": 3}, "m_20.pt": {}}, 10, 20)
        self.assert_steps({"epoch=1.ckpt": {"global_step": 390}, "epoch=2.ckpt": {"global_step": 780}}, 390, 780)
        self.assert_steps({"m_10.pt": {"step": "10", "global_step": True}}, 10)
        contradiction = {"m_1.pt": {"global_step": 390}, "m_2.pt": {"global_step": 780}}
        self.assert_undecided(contradiction, "m_1.pt", "step 1,", "global_step 390", "--step inside")
        self.assert_steps(contradiction, 390, 780, choice="inside")
        self.assert_steps({"m_1.pt": {"global_step": 390}}, 1, choice=r"m_(\d+)", says=("m_1.pt", "390"))
        self.assert_undecided({"m_1.pt": {}}, "m_1.pt", "global_step", choice="inside")
        self.assert_undecided({"epoch=1.ckpt": {}, "epoch=2.ckpt": {"step": 780}}, "epoch=1.ckpt", "--step")


class NamesTest(CheckpointsTest):
    """Each form of a checkpoint against PyTorch's own loading of it into the modules."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        sys.path.insert(0, os.path.join(SOURCE, "tools"))
        from whence.checkpoints import failure, importing, loading
        cls.importing, cls.loading, cls.ImportFailure = importing, loading, failure.ImportFailure
        plan = cls.place + "/plan.json"
        cls.run_fine("train", *cls.options("mlp-vae"), "--steps", "1", "--hidden", "8,8,8", "--out", cls.place + "/x", "--describe", plan)
        cls.layout = json.loads(read_json(plan)["attributes"]["layout"])
        cls.vae = Vae(cls.torch, (36, 8, 8, 8, 2 * D), (D, 8, 8, 8, 36))

    def theta(self, value, **options):
        """theta of a saved checkpoint, and whether the order of its file decided."""
        path, seen = self.path("one.pt"), {"patterns": set(), "in order": []}
        self.torch.save(value, path)
        options = argparse.Namespace(**{"key": None, "leave_out": [], "heads": None, "dtype": "float64", **options})
        theta = self.importing.theta_of(path, self.loading.load(path, False), self.layout, options, seen)
        return theta, bool(seen["in order"])

    def expected(self):
        """What PyTorch has in the modules, in the order in which data go through them."""
        return self.flat(dict(self.vae.net.named_parameters()))[0]

    def assert_taken(self, state, in_order=False, **options):
        theta, by_order = self.theta(state, **options)
        np.testing.assert_array_equal(theta, self.expected())
        self.assertEqual(by_order, in_order)

    def assert_not_taken(self, state, *words, **options):
        with self.assertRaises(self.ImportFailure) as failure:
            self.theta(state, **options)
        for each in (self.path("one.pt"), *words):
            self.assertIn(each, str(failure.exception))

    def shuffled(self, state):
        return {name: state[name] for name in sorted(state, key=lambda name: (name[::-1], name))}

    def test_any_prefix_and_any_order_of_definition(self):
        state = self.vae.net.state_dict()  # encoder.0.weight, encoder.2.weight, ...
        plain = {name: tensor for entry, tensor in zip(self.layout, state.values()) for name in [entry["name"]]}
        for names in (state, plain):
            for prefix in ("", "module.", "_orig_mod.", "vae.", "module._orig_mod.my.net."):
                for order in (dict, self.shuffled):
                    self.assert_taken(order({prefix + name: tensor for name, tensor in names.items()}))
        self.assert_taken(self.shuffled({name.replace("encoder.", "encoder._orig_mod.").replace("decoder.", "decoder.layers."): tensor
                                         for name, tensor in state.items()}))
        self.assert_taken(self.shuffled({name.replace("encoder.", "net.enc_fc").replace("decoder.", "net.dec_fc"): tensor
                                         for name, tensor in state.items()}))

    def test_layers_of_equal_shape_are_not_swapped(self):
        state = self.vae.net.state_dict()
        swapped = {name.translate(str.maketrans("24", "42")) if name.startswith("encoder") else name: tensor
                   for name, tensor in state.items()}
        theta, by_order = self.theta({"_orig_mod." + name: tensor for name, tensor in swapped.items()})
        self.assertFalse(by_order)
        net = copy.deepcopy(self.vae.net)
        net.load_state_dict(swapped)
        np.testing.assert_array_equal(theta, self.flat(dict(net.named_parameters()))[0])

    def test_more_than_nine_layers_are_in_the_order_of_their_numbers(self):
        state = {name.replace("4", "10").replace("6", "12"): tensor for name, tensor in self.vae.net.state_dict().items()}
        self.assert_taken(dict(sorted(state.items())))

    def test_names_that_do_not_decide_leave_it_to_the_order_of_the_file(self):
        words = iter("one two three four five six seven eight".split())
        state, new = self.vae.net.state_dict(), {}
        for name, tensor in state.items():
            new[name] = next(words) if name.endswith("weight") else new[name[:-4] + "weight"]
        self.assert_taken({new[name] + "." + name.split(".")[-1]: tensor for name, tensor in state.items()}, in_order=True)

    def test_two_heads(self):
        state = self.vae.net.state_dict()
        for mean, spread, options in (("fc_mu", "fc_logvar", {}), ("encoder.z_mean", "encoder.z_log_var", {}), ("mu", "logvar", {}),
                                      ("encoder.mean.0", "encoder.log_variance.0", {}),
                                      ("fc21", "fc22", {"heads": ["fc21", "fc22"]}), ("m.mu", "m.std", {"heads": ["mu", "m.std"]})):
            heads = self.vae.heads(state, mean, spread)
            for prefix in ("", "module.", "vae."):
                self.assert_taken(self.shuffled({prefix + name: tensor for name, tensor in heads.items()}), **options)
        named = self.vae.heads(state, "fc21", "fc22")
        self.assert_not_taken(named, "fc21.weight", "--heads")
        self.assert_not_taken(named, "--heads", "fc23", heads=["fc21", "fc23"])
        theta, _ = self.theta(named, heads=["fc22", "fc21"])
        self.assertFalse(np.array_equal(theta, self.expected()), "the mean is the first of --heads")
        self.assert_not_taken(self.vae.heads(state, "fc_mu", "fc_var"), "fc_var.weight")

    def test_tensors_that_are_not_the_networks(self):
        state = self.vae.net.state_dict()
        more = {**{"net." + name: tensor for name, tensor in state.items()}, "beta": self.torch.tensor(4.0),
                "net.norm.num_batches_tracked": self.torch.tensor(3)}
        self.assert_not_taken(more, "beta [] has no place", "num_batches_tracked", "--leave-out")
        self.assert_not_taken(more, "num_batches_tracked", leave_out=["beta"])
        self.assert_taken(more, leave_out=["beta", "*.num_batches_tracked"])
        average = {**state, **{"ema." + name: tensor / 2 for name, tensor in state.items()}}
        self.assert_not_taken(average, "ema.")
        self.assert_taken(average, leave_out=["ema.*"])

    def test_types_and_numbers_that_are_no_parameters_are_named(self):
        state = self.vae.net.state_dict()
        for dtype in (self.torch.int8, self.torch.int64, self.torch.bool, self.torch.complex64):
            self.assert_not_taken({**state, "decoder.2.bias": state["decoder.2.bias"].to(dtype)}, "decoder.2.bias", str(dtype)[6:])
        heads = self.vae.heads(state, "mu", "logvar")
        self.assert_not_taken({**heads, "logvar.bias": heads["logvar.bias"].to(self.torch.int8)}, "logvar.bias", "int8")
        for bad in (float("nan"), float("inf")):
            wrong = state["decoder.2.bias"].clone()
            wrong[1] = bad
            self.assert_not_taken({"net." + n: wrong if n == "decoder.2.bias" else t for n, t in state.items()}, "net.decoder.2.bias")
        large = {**state, "encoder.0.bias": state["encoder.0.bias"].double() + 1e300}
        self.assert_not_taken(large, "encoder.0.bias", "float32", dtype="float32")


class Vae:
    """Encoder and decoder as PyTorch modules."""

    def __init__(self, torch, *widths):
        def stack(sizes):
            layers = [part for pair in zip(sizes, sizes[1:]) for part in (torch.nn.Linear(*pair), torch.nn.ReLU())]
            return torch.nn.Sequential(*layers[:-1])

        self.net = torch.nn.ModuleDict({"encoder": stack(widths[0]), "decoder": stack(widths[1])})

    def heads(self, state, mean, spread):
        """The state of the same network with two layers in the place of the encoder's last."""
        changed = {}
        for name, tensor in state.items():
            if name.startswith("encoder.6."):
                changed[name.replace("encoder.6", mean)], changed[name.replace("encoder.6", spread)] = tensor[:D], tensor[D:]
            else:
                changed[name] = tensor
        return changed


class WholeImportTest(CheckpointsTest):
    def test_lightnings_files_with_all_options(self):
        models, folder = self.models("mlp-vae"), self.path("lightning")
        os.makedirs(folder)
        for number, model in enumerate(models, 1):
            state = {"vae." + name.replace("encoder.6", "encoder.fc21"): tensor[:D] if "encoder.6" in name else tensor
                     for name, tensor in model.state_dict().items()}
            state.update({"vae.encoder.fc22." + name[len("encoder.6."):]: tensor[D:] for name, tensor in model.state_dict().items()
                          if "encoder.6" in name})
            self.torch.save({"global_step": 30 - number, "state_dict": {**state, "vae.beta": self.torch.tensor(2.0)}},
                            os.path.join(folder, "epoch=%d-n=%d-val_loss=0.%d.ckpt" % (number, 30 - number, number)))
        own = ["--step", r"n=(\d+)", "--heads", "fc21,fc22", "--leave-out", "vae.beta"]
        found = self.imported(folder, "run-lightning", own=own)
        self.assertEqual(found["steps"].tolist(), [28, 29])
        np.testing.assert_array_equal(found["params"], self.flat(*[model.state_dict() for model in reversed(models)]))
        self.assertIn("--leave-out", self.refused(folder, own=own + ["--leave-out", "gamma"]))

    def test_the_order_of_the_file_is_said(self):
        folder = self.save("order", self.models("mlp-vae"), lambda state: {
            "abcdefgh"[number // 2] + "." + name.split(".")[-1]: tensor for number, (name, tensor) in enumerate(state.items())})
        self.imported(folder, "run-order", said="in the order of the file")


if __name__ == "__main__":
    main()
