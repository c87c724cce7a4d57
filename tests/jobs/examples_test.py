"""tools/examples at a tiny size, from data to the table."""

import os
import subprocess
import sys

from support import SOURCE, WHENCE, ProgramTest, arrays, main, read_json

EXAMPLES = os.path.join(SOURCE, "tools", "examples")
SIZES = {"vae": ("--width", "12", "--latent", "3"), "dcgan": ("--channels", "4", "--latent", "4"),
         "wgan_gp": ("--width", "8", "--latent", "3"), "ddpm": ("--channels", "4"), "classifier": ("--channels", "4")}


class ExamplesTest(ProgramTest):
    def run_example(self, name):
        out = self.path(name)
        done = subprocess.run(
            [os.path.join(EXAMPLES, "run.sh"), name, out, "digits", *SIZES[name]], capture_output=True, text=True, timeout=300,
            env={**os.environ, "WHENCE": os.path.abspath(WHENCE), "PYTHON": sys.executable, "INSTANCES": "60",
                 "HELD_OUT": "20", "EPOCHS": "2", "TARGETS": "40", "BATCH": "10", "DTYPE": "float64"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("this model can be used", done.stdout)
        rows = read_json(os.path.join(out, "run", "validation.json"))["rows"]
        for row in rows:
            self.assertEqual(row["targets"], 40)
            self.assertGreater(row["kendall_tau"], 0.8, name)
        self.assertEqual(arrays(os.path.join(out, "run", "influence.h5"))["influence"].shape[-1], 60)

    def test_each_is_short(self):
        for name in os.listdir(EXAMPLES):
            if name.endswith(".py"):
                with open(os.path.join(EXAMPLES, name)) as file:
                    self.assertLess(len(file.readlines()), 90, name)
        self.assertEqual({name[:-3] for name in os.listdir(EXAMPLES) if name.endswith(".py")}, {"arguments", *SIZES})


for example in SIZES:
    setattr(ExamplesTest, "test_" + example, lambda self, name=example: self.run_example(name))


if __name__ == "__main__":
    main()
