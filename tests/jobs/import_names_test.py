"""Imported checkpoints: which training step each is of, and which tensor is which, by what names and files say."""

import argparse
import copy
import json
import os
import sys

import numpy as np

from import_support import D, STEPS, CheckpointsTest, import_checkpoints
from support import SOURCE, arrays, main, read_json, write_bytes
from vae_support import TRACIN_QUERIES, keyed_noise, torch_loss


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
        """theta of a saved checkpoint."""
        path, seen = self.path("one.pt"), {"patterns": set(), "ignored": set()}
        self.torch.save(value, path)
        options = argparse.Namespace(**{"key": None, "leave_out": [], "rename": [], "heads": None, "dtype": "float64", "exported": None, **options})
        return self.importing.theta_of(path, self.loading.load(path, False), self.layout, options, seen)

    def expected(self):
        """What PyTorch has in the modules, in the order in which data go through them."""
        return self.flat(dict(self.vae.net.named_parameters()))[0]

    def assert_taken(self, state, **options):
        np.testing.assert_array_equal(self.theta(state, **options), self.expected())

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
        theta = self.theta({"_orig_mod." + name: tensor for name, tensor in swapped.items()})
        net = copy.deepcopy(self.vae.net)
        net.load_state_dict(swapped)
        np.testing.assert_array_equal(theta, self.flat(dict(net.named_parameters()))[0])

    def test_more_than_nine_layers_are_in_the_order_of_their_numbers(self):
        state = {name.replace("4", "10").replace("6", "12"): tensor for name, tensor in self.vae.net.state_dict().items()}
        self.assert_taken(dict(sorted(state.items())))

    def test_names_that_do_not_decide_are_refused_until_they_are_given(self):
        words = iter("one two three four five six seven eight".split())
        state, new, rename = self.vae.net.state_dict(), {}, []
        for (name, tensor), entry in zip(state.items(), self.layout):
            new[name] = next(words) if name.endswith("weight") else new[name[:-4] + "weight"]
            rename.append((new[name], entry["name"].rpartition(".")[0]))
        named = {new[name] + "." + name.split(".")[-1]: tensor for name, tensor in state.items()}
        self.assert_not_taken(named, "do not tell which is which", "--rename fc1=encoder.0")
        for prefix in ("", "module.", "net."):
            self.assert_taken(self.shuffled({prefix + name: tensor for name, tensor in named.items()}), rename=rename[::2])
        self.assert_not_taken(named, "one.weight [8, 36] has no place", rename=rename[2::2])

    def test_what_batch_norm_counts_is_left_out(self):
        state = {"net." + name: tensor for name, tensor in self.vae.net.state_dict().items()}
        count = {"net.encoder.1.num_batches_tracked": self.torch.tensor(3), "net.encoder.1.running_mean": self.torch.zeros(8)}
        self.assert_taken({**state, **count})
        self.assert_not_taken({**state, **count, "net.encoder.1.weight": self.torch.ones(8)}, "net.encoder.1.weight")

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
        theta = self.theta(named, heads=["fc22", "fc21"])
        self.assertFalse(np.array_equal(theta, self.expected()), "the mean is the first of --heads")
        self.assert_not_taken(self.vae.heads(state, "fc_mu", "fc_var"), "fc_var.weight")

    def test_tensors_that_are_not_the_networks(self):
        state = self.vae.net.state_dict()
        more = {**{"net." + name: tensor for name, tensor in state.items()}, "beta": self.torch.tensor(4.0),
                "net.norm.steps_seen": self.torch.tensor(3)}
        self.assert_taken(more)
        self.assert_taken(more, leave_out=["beta", "*.steps_seen"])
        self.assert_not_taken({**more, "beta": self.torch.tensor([4.0])}, "beta [1] has no place", "--leave-out")
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

    def test_the_order_of_a_file_never_decides(self):
        models = self.models("mlp-vae")
        folder = self.save("order", models, lambda state: {
            "abcdefgh"[number // 2] + "." + name.split(".")[-1]: tensor for number, (name, tensor) in enumerate(state.items())})
        self.assertIn("--rename", self.refused(folder, lines=0))
        names = ["encoder.%d" % n for n in range(4)] + ["decoder.%d" % n for n in range(4)]
        own = [text for old, new in zip("abcdefgh", names) for text in ("--rename", "%s=%s" % (old, new))]
        found = self.imported(folder, "run-renamed", own=own)
        np.testing.assert_array_equal(found["params"], self.flat(*[model.state_dict() for model in models]))
        self.assertIn("there is no layer other", self.refused(folder, own=own + ["--rename", "other=encoder.0"]))
        self.assertIn("OLD=NEW", self.refused(folder, own=["--rename", "a"]))

    def test_files_of_every_kind(self):
        models = self.models("mlp-vae")
        expected = self.flat(*[model.state_dict() for model in models])
        for kind in ("safetensors", "", "ckpt"):
            folder = self.path("kind-" + kind)
            os.makedirs(folder)
            write_bytes(os.path.join(folder, "README"), b"no checkpoint")
            for step, model in zip((50, 100), models):
                path = os.path.join(folder, "vae_step%d_d128" % step + ("." + kind if kind else ""))
                if kind == "safetensors":
                    write_bytes(path, safetensors(model.state_dict(), {"format": "pt", "global_step": str(step)}))
                else:
                    self.torch.save({"model": model.state_dict()}, path)
            found = self.imported(folder, "run-kind-" + kind)
            np.testing.assert_array_equal(found["params"], expected)
            self.assertEqual(found["steps"].tolist(), [50, 100])

    def test_damaged_safetensors_are_one_sentence(self):
        folder = self.path("damaged")
        os.makedirs(folder)
        whole = safetensors(self.models("mlp-vae")[0].state_dict(), {})
        header = int.from_bytes(whole[:8], "little")
        for content in (b"", whole[:5], whole[:40], whole[:-8], whole[:8] + b"x" + whole[9:], (2 ** 62).to_bytes(8, "little") + whole[8:],
                        whole[:8] + whole[8:8 + header].replace(b'"F64"', b'"F99"') + whole[8 + header:],
                        (2).to_bytes(8, "little") + b"[]"):
            write_bytes(os.path.join(folder, "m_10.safetensors"), content)
            self.assertIn("m_10.safetensors", self.refused(folder))

    def test_what_was_trained_on_is_what_the_import_says(self):
        models = self.models("mlp-vae")
        folder, count = self.save("rows", models), 5
        write_bytes(self.path("ids.txt"), b"7\n2\n11\n0\n3\n")
        options = [o for o in self.options("mlp-vae")]
        for name, choice, ids in (("rows", ["--train-rows", "2:7"], [2, 3, 4, 5, 6]),
                                  ("ids", ["--train-ids", self.path("ids.txt")], [7, 2, 11, 0, 3])):
            options[options.index("--held-out") + 1] = "7" if name == "rows" else "0"
            run = self.path("run-" + name)
            done = import_checkpoints(folder, run, *options, *choice)
            self.assertEqual(done.returncode, 0, done.stderr)
            found = arrays(os.path.join(run, "trajectory.h5"))
            self.assertEqual(found["instance_id"].tolist(), ids)
            points = self.images["mlp-vae"].reshape(12, -1)[ids] / 255.0
            means = []
            for step, model in zip(STEPS, models):
                noise = keyed_noise(0, TRACIN_QUERIES, step, ids, 4, D)
                means.append(np.mean([torch_loss(model, self.torch.tensor(x), self.torch.tensor(eps), 2.0, True).item()
                                      for x, eps in zip(points, noise)]))
            self.assertIn("mean loss of %d training instances: %.6g at step 50, %.6g at step 100" % (count, *means), done.stdout)
            self.assertEqual(sorted(os.listdir(run)), ["run.cfg", "trajectory.h5"])
            self.run_fine("tracin", "--run", run, "--queries", "self", "--samples", 1, "--quiet")
        self.assert_refused(["tracin", "--run", run, "--queries", "test:1"], "--queries", "0 held-out")
        self.assert_refused(["tracin", "--run", run, "--queries", "metric:loss"], "--metric", "no instances")
        train = ["train", "--out", self.path("never"), *options]
        for choice, words in ((["--train-rows", "0:4"], "give --instances 4"), (["--train-rows", "9:14"], "12 rows"),
                              (["--train-rows", "5"], "FIRST:END"), (["--train-ids", "/nowhere"], "/nowhere"),
                              (["--train-rows", "0:5", "--train-ids", self.path("ids.txt")], "--train-ids"),
                              (["--train-rows", "0:5", "--test", "9"], "that do not train")):
            self.assert_refused([*train, *choice], words)


def safetensors(state, metadata):
    """The bytes of a .safetensors file."""
    header, numbers = {"__metadata__": metadata}, b""
    for name, tensor in state.items():
        values = tensor.numpy().tobytes()
        header[name] = {"dtype": "F64", "shape": list(tensor.shape), "data_offsets": [len(numbers), len(numbers) + len(values)]}
        numbers += values
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


if __name__ == "__main__":
    main()
