"""What is no model, or none that can be used: each in one sentence, at export or when the program reads the file."""

import os
import re
import sys
import zipfile

import numpy as np
import torch
from torch import nn

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz"))

import models
import script_support
from script_support import Fcgan, whence
from support import whence as run_whence
from support import FULL, SOURCE, ProgramTest, main, read_bytes, write_bytes
from whence.models import file as model_file
from whence.models.operators import ALLOWED

X = torch.rand(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
OUTSIDE = torch.ones((), requires_grad=True)


class Plain(whence.Game):
    """A regression whose loss the test chooses."""
    noise = 2

    def __init__(self, loss, *layers):
        self.players = {"net": nn.Sequential(nn.Linear(6, 4), *layers)}
        self.loss = loss

    def terms(self, players, x, noise, labels):
        found = self.loss(players["net"], x, noise)
        return {"net": found if isinstance(found, whence.Terms) else whence.Terms(instances=found)}


def fine(net, x, noise):
    return net(x).square().sum(1) + noise.sum(1) * x[:, 0]


class ExportTest(ProgramTest):
    def refused(self, words, loss, *layers, example=X, labels=None, game=None):
        path = self.path("refused.pt")
        with self.assertRaises(whence.CannotExport) as caught:
            whence.export(game or Plain(loss, *layers), path, example, labels)
        sentence = str(caught.exception)
        for word in words:
            self.assertIn(word, sentence)
        self.assertNotIn("\n", sentence)
        self.assertFalse(os.path.exists(path))

    def test_terms(self):
        self.refused(("net", "scalar", "[8]"), lambda net, x, z: net(x).square().mean())
        self.refused(("net", "[8, 4]", "[8]"), lambda net, x, z: net(x).square())
        self.refused(("another instance", "net"), lambda net, x, z: (net(x) - net(x).mean(0)).square().sum(1))
        self.refused(("penalty", "another instance"),
                     lambda net, x, z: whence.Terms(instances=net(x).sum(1), penalty=x.mean() * net(x).sum()))
        self.refused(("not finite",), lambda net, x, z: (net(x).sum(1) * 0).log() - float("inf"))
        self.refused(("net", "does not depend"), lambda net, x, z: x.sum(1))
        self.refused(("float32", "float64"), lambda net, x, z: net(x).sum(1).float())
        self.refused(("in place",), lambda net, x, z: net(x.mul_(2)).sum(1))

    def test_what_cannot_be_traced_truly(self):
        self.refused(("players['net'].1", "Dropout", "noise"), fine, nn.Dropout(0.5))
        self.refused(("random", "script_bad_test.py"), lambda net, x, z: net(x + torch.randn_like(x)).sum(1))
        self.refused(("players['net'].1", "BatchNorm1d", "track_running_stats"), fine, nn.BatchNorm1d(4))
        self.refused(("second batch",), lambda net, x, z: net(x).sum(1) if x[0, 0] > 0.5 else net(x).sum(1) * 2)
        self.refused(("second batch",), lambda net, x, z: net(x).sum(1) * len(x))
        self.refused(("outside the players",), lambda net, x, z: net(x).sum(1) * OUTSIDE)
        self.refused(("Python",), lambda net, x, z: Own.apply(net(x)).sum(1))
        self.refused(("second derivative", "_cdist_backward"),
                     lambda net, x, z: torch.cdist(net(x)[:, None], x[:, None, :4], 1.5)[:, 0, 0])

    def test_games(self):
        self.refused(("no players",), fine, game=whence.Game())
        self.refused(("2 or more",), fine, example=X[:1])
        self.refused(("labels", "[8]"), fine, labels=torch.zeros(3))
        shared = Plain(fine)
        shared.players["twin"] = shared.players["net"]
        self.refused(("'twin'", "another player"), fine, game=shared)

    def test_what_may_look_bad_and_is_fine(self):
        """Dropout and batch norm in eval(), a batch norm without running statistics, in-place activations."""
        for number, layers in enumerate(((nn.Dropout(0.5).eval(),), (nn.BatchNorm1d(4).eval(),), (nn.ReLU(inplace=True),),
                                         (nn.BatchNorm1d(4, track_running_stats=False),))):
            about = whence.export(Plain(fine, *layers), self.path("fine%d.pt" % number), X)
            self.assertEqual(bool(about["mixes"]), number == 3)

    def test_one_list_of_operators(self):
        text = read_bytes(os.path.join(SOURCE, "src", "game", "script_operators.inc")).decode()
        self.assertEqual(sorted(ALLOWED), re.findall('WHENCE_OPERATOR\\("(.*)"\\)', text))


class Own(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, upstream):
        return upstream


class ReadingTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = os.path.join(cls.place, "gan.pt")
        cls.about = script_support.export(Fcgan(2, 4), cls.model, 2)

    def train_refused(self, model, *names, data=("--data", "normal2d"), rates="0.1"):
        return self.assert_refused(("train", "--out", self.path("no-run"), "--game", "script:" + model, "--rates", rates,
                                    "--instances", 40, "--held-out", 10, "--batch", 10, "--dtype", "float64", *data), *names)

    def scripted(self, name, source, extra=""):
        """A file with other functions than whence.export makes: `source` is the body of terms."""
        code = ("import torch\nfrom typing import List\nclass Made(torch.nn.Module):\n"
                "    def __init__(self):\n        super().__init__()\n"
                "        self.register_buffer('initial', torch.zeros(%d, dtype=torch.float64))\n%s"
                "    @torch.jit.export\n    def terms_float64(self, p: List[torch.Tensor], x: torch.Tensor, n: torch.Tensor):\n"
                "        %s\n        return x.sum(1), p[0].sum(), x.sum(1), x.sum(1), p[4].sum()\n")
        numbers = sum(int(np.prod(one["shape"])) for one in self.about["tensors"])
        place = self.path(name + "_source.py")
        with open(place, "w") as file:
            file.write(code % (numbers, extra, source))
        sys.path.insert(0, self.place)
        module = torch.jit.script(__import__(name + "_source").Made())
        path = self.path(name + ".pt")
        model_file.write(path, module, dict(self.about, sample=False, metrics=[]))
        return path

    def test_no_model(self):
        whole = read_bytes(self.model)
        self.train_refused(self.path("none.pt"), "none.pt")
        self.train_refused(self.place, "folder")
        for size in (0, 100, len(whole) // 2, len(whole) - 1):
            write_bytes(self.path("cut.pt"), whole[:size])
            self.train_refused(self.path("cut.pt"), "cut.pt", "cut short")
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), self.path("plain.pt"))
        self.train_refused(self.path("plain.pt"), "plain.pt", "whence.export")
        self.assert_refused(("train", "--out", self.path("no-run"), "--game", "script"), "--game", "script:FILE")

    def test_damaged_files(self):
        """More of it: tests/fuzz/models.py."""
        fuzz = models.Fuzz(self.path(), 1, self.model)
        for kind in models.KINDS:
            for number in range(20 if FULL else 4):
                outcome = fuzz.case(kind, number)
                self.assertIsNone(outcome.complaint, "%s, case %d (%s), code %s: %s" % outcome)

    def test_a_newer_torch(self):
        """One with an operator that this one has not got, and one whose files have a later version."""
        newer = self.scripted("newer", "x = x * 1")
        own = torch.__version__[:4]
        changed(newer, lambda name, text: text.replace(b'"torch": "' + own.encode(), b'"torch": "9.99')
                .replace(b"torch.sum(", b"torch.zum("))
        self.train_refused(newer, "newer.pt", "PyTorch 9.99", "LibTorch " + own)
        changed(newer, lambda name, text: b"999" if name.endswith("/version") else text)
        self.train_refused(newer, "newer.pt", "PyTorch 9.99", "LibTorch " + own)

    def test_what_it_must_not_do(self):
        self.train_refused(self.scripted("saves", "torch.save(x, '%s')" % self.path("written")), "aten::save")
        self.assertFalse(os.path.exists(self.path("written")))
        self.train_refused(self.scripted("draws", "x = x + torch.rand_like(x)"), "aten::rand_like")
        self.train_refused(self.scripted("drops", "x = torch.dropout(x, 0.5, True)"), "dropout", "random")
        self.train_refused(self.scripted("elsewhere", "x = x + torch.zeros(2, device=torch.device('cuda'))"), "device")
        self.train_refused(self.scripted("prints", "print(x)"), "prim::Print")
        state = ("    @torch.jit.export\n    def __getstate__(self):\n        return (self.initial, self.training)\n"
                 "    @torch.jit.export\n    def __setstate__(self, state: List[int]):\n        torch.save(1, '%s')\n"
                 % self.path("written")).replace("state: List[int]", "state: tuple[torch.Tensor, bool]")
        state = state.replace("tuple[", "Tuple[")
        extra = "    from typing import Tuple\n" + state
        self.train_refused(self.scripted("restores", "x = x * 1", extra), "__setstate__")
        self.assertFalse(os.path.exists(self.path("written")))

    def test_other_data_and_options(self):
        np.savetxt(self.path("three.csv"), np.random.default_rng(0).normal(size=(60, 3)), delimiter=",")
        self.train_refused(self.model, "--rates", "3 numbers", "generator", rates="0.1,0.2,0.3")
        idx = self.path("x.idx")
        from vae_support import write_idx
        write_idx(idx, np.zeros((60, 4, 4), np.uint8))
        self.train_refused(self.model, "--data", "[2]", "[4, 4]", data=("--data", "idx:" + idx))
        labelled = self.path("labelled.pt")
        game = Fcgan(2, 4)
        script_support.export(game, labelled, 2, labels=torch.arange(8))
        self.train_refused(labelled, "--data", "labels")

    def test_check(self):
        """It says yes to a model of the exporter, and what is wrong with one that gets by."""
        done = run_whence("check", self.model, "--data", "normal2d", "--dtype", "float64")
        self.assertEqual(done.code, 0, str(done))
        self.assertIn("this model can be used", done.out)
        self.assertNotIn("NO ", done.out)
        for name, source, claim in (("mixes", "x = x + p[0].sum() + p[4].sum() + x.mean()", "its own instance alone"),
                                    ("counts", "x = x + (p[0].sum() + p[4].sum()) * len(x)", "two slices"),
                                    ("detached", "x = x + p[0].sum() + p[4].sum() + (p[0].detach() + 1).square().sum()", "slope"),
                                    ("fixed", "x = (x + p[0].sum() + p[4].sum()).view(16, 2)", "batches of 1")):
            done = run_whence("check", self.scripted(name, source), "--data", "normal2d", "--dtype", "float64")
            self.assertEqual(len(done.lines()), 1, str(done))
            self.assertIn("cannot be used", done.lines()[0])
            self.assertRegex(done.out, "NO .*" + claim)
            self.assertIn(claim, done.lines()[0])

    def test_check_steps_over_no_kink(self):
        """A kink within the step of a central difference is no fault of the model."""
        near = self.scripted("near", "x = x + torch.relu(p[0].sum() + p[4].sum() + 3e-6) + p[0].sum() + p[4].sum()")
        done = run_whence("check", near, "--data", "normal2d", "--dtype", "float64")
        self.assertNotEqual(done.out, "", str(done))
        self.assertRegex(done.out, "yes +g is the slope of each player's loss")

    def test_it_has_no_such_function(self):
        path = self.path("plain-net.pt")
        whence.export(Plain(lambda net, x, z: net(torch.cat([x, x, x], 1)).square().sum(1)), path, X[:, :2])
        run = self.train("plain", "--game", "script:" + path, "--rates", 0.01, "--instances", 40, "--held-out", 10,
                         "--batch", 10, "--epochs", 1)
        self.assert_refused(("influence", "--run", run, "--metric", "all"), "--metric", "generator")
        self.run_fine("influence", "--run", run, "--metric", "loss")


def changed(path, change):
    """Writes the archive again, with change(name, content) of every record."""
    with zipfile.ZipFile(path) as archive:
        records = [(name, change(name, archive.read(name))) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records:
            archive.writestr(name, content)


if __name__ == "__main__":
    main()
