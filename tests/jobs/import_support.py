"""What the tests of imported checkpoints share."""

import os

import numpy as np

from at_hand import run_script
from support import SOURCE, WHENCE, ProgramTest, arrays
from vae_support import conv_vae, mlp_vae, torch_or_skip, write_idx

IMPORT = os.path.join(SOURCE, "tools", "import_checkpoints.py")
D, SAMPLES, STEPS = 4, 3, (50, 100)


def import_checkpoints(folder, out, *options, own=(), program=WHENCE):
    return run_script(IMPORT, folder, "--out", out, "--whence", program, *own, "--", *options)


class CheckpointsTest(ProgramTest):
    """Checkpoints of small VAEs, written by PyTorch, and claims about their import."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.torch = torch_or_skip()
        cls.torch.set_num_threads(1)  # a fork of a process with a pool of threads may wait for them for ever
        cls.torch.manual_seed(5)
        draw = np.random.default_rng(3)
        cls.images = {"mlp-vae": draw.integers(0, 256, (12, 6, 6)), "conv-vae": draw.integers(0, 256, (8, 3, 64, 64))}
        for game, images in cls.images.items():
            write_idx(os.path.join(cls.place, game + "-images"), images)

    @classmethod
    def options(cls, game):
        return ["--game", game, "--data", "idx:" + os.path.join(cls.place, game + "-images"), "--instances", "5", "--held-out", "3",
                "--batch", "2", "--latent", str(D), "--beta", "2", "--dtype", "float64"] + (
                    ["--image-size", "0"] if game == "conv-vae" else [])

    def models(self, game):
        models = [mlp_vae(D, 36) if game == "mlp-vae" else conv_vae(D) for _ in STEPS]
        return [model.double() for model in models]

    def save(self, game, models, wrap=lambda state: state, steps=STEPS):
        folder = self.path("checkpoints-" + game)
        os.makedirs(folder, exist_ok=True)
        for step, model in zip(steps, models):
            self.torch.save(wrap(model.state_dict()), os.path.join(folder, "model_%d.pt" % step))
        return folder

    def imported(self, folder, name, *more, own=(), said=""):
        """The trajectory of an import that has to succeed, and to say nothing but the line with these words."""
        done = import_checkpoints(folder, self.path(name), *self.options("mlp-vae"), *more, own=own)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (0, 1 if said else 0), done.stderr)
        self.assertIn(said, done.stderr)
        self.run_fine("verify", "--run", self.path(name))
        return arrays(self.path(name, "trajectory.h5"))

    def refused(self, folder, *more, out=None, lines=1, **how):
        """What an import says that has to fail and leave nothing behind."""
        out, before = self.path("refused") if out is None else out, sorted(os.listdir(self.place))
        done = import_checkpoints(folder, out, *self.options("mlp-vae"), *more, **how)
        self.assertIn(done.returncode, (1, 2), done.stdout + done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        if lines:
            self.assertEqual(len(done.stderr.splitlines()), lines, done.stderr)
        self.assertEqual(sorted(os.listdir(self.place)), before)
        return done.stderr

    def flat(self, *states):
        return np.stack([self.torch.cat([t.detach().double().flatten() for t in state.values()]) for state in states])
