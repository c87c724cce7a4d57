"""Checkpoints written by PyTorch come in as runs, and their scores and losses are PyTorch's own."""

import argparse
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np

from import_support import D, SAMPLES, STEPS, CheckpointsTest, import_checkpoints
from support import WHENCE, arrays, main, read_bytes, small_disk, write_bytes
from vae_support import TRACIN_INSTANCES, TRACIN_QUERIES, VALIDATION_LATENTS, keyed_noise, mlp_vae, normals, torch_loss, write_idx


class ImportTest(CheckpointsTest):
    def check_against_torch(self, game, wrap):
        models = self.models(game)
        run = self.path("run-" + game)
        done = import_checkpoints(self.save(game, models, wrap), run, *self.options(game))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("trajectory.h5: whole, 100 steps", self.run_fine("verify", "--run", run).out)
        self.run_fine("tracin", "--run", run, "--queries", "test:3", "--samples", str(SAMPLES), "--quiet")
        self.run_fine("tracin", "--run", run, "--queries", "self", "--samples", str(SAMPLES), "--name", "self", "--quiet")
        found, of_self = (arrays(os.path.join(run, name)) for name in ("tracin.h5", "tracin-self.h5"))

        def part(ids, purpose):
            points = self.images[game].reshape(len(self.images[game]), -1)[ids] / 255.0
            losses, gradients = [], []
            for step, model in zip(STEPS, models):
                noise = keyed_noise(0, purpose, step, [int(i) for i in ids], SAMPLES, D)
                for x, eps in zip(points, noise):
                    loss = torch_loss(model, self.torch.tensor(x), self.torch.tensor(eps), 2.0, game == "mlp-vae")
                    grads = self.torch.autograd.grad(loss, list(model.parameters()))
                    losses.append(loss.item())
                    gradients.append(self.torch.cat([g.flatten() for g in grads]).numpy())
            return np.reshape(losses, (2, -1)), np.reshape(gradients, (2, len(ids), -1))

        query_losses, query_gradients = part(found["query_id"], TRACIN_QUERIES)
        losses, gradients = part(found["instance_id"], TRACIN_INSTANCES)
        np.testing.assert_allclose(found["query_loss"], query_losses, rtol=1e-10)
        np.testing.assert_allclose(found["loss"], losses, rtol=1e-10)
        scores = np.einsum("cqp,cnp->qn", query_gradients, gradients)
        np.testing.assert_allclose(found["score"], scores, rtol=0, atol=1e-10 * np.abs(scores).max())
        np.testing.assert_allclose(of_self["self_influence"], (gradients ** 2).sum((0, 2)), rtol=1e-10)

    def test_mlp_vae_in_a_training_checkpoint_reproduces_pytorchs_losses_and_scores(self):
        self.check_against_torch("mlp-vae", lambda state: {"iteration": 7, "optimizer": {"lr": 0.1}, "model": state})

    def test_conv_vae_of_data_parallel_reproduces_pytorchs_losses_and_scores(self):
        self.check_against_torch("conv-vae", lambda state: {"module." + name: value for name, value in state.items()})

    def test_resized_images_are_rounded_to_bytes_where_the_pipeline_did(self):
        model = self.models("conv-vae")[0]
        folder = self.save("small", [model], steps=(50,))
        images = np.random.default_rng(4).integers(0, 256, (8, 3, 32, 32))
        write_idx(self.path("small-images"), images)
        data = ["--data", "idx:" + self.path("small-images"), "--image-size", "64"]
        resized = self.torch.nn.functional.interpolate(self.torch.tensor(images, dtype=self.torch.float64), size=(64, 64),
                                                       mode="bilinear", align_corners=False).numpy().reshape(8, -1)
        losses = {}
        for rounding, pixels in (("false", resized), ("true", np.rint(resized))):
            run = self.path("run-small-" + rounding)
            done = import_checkpoints(folder, run, *self.options("conv-vae"), *data, "--resize-rounding", rounding)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.run_fine("tracin", "--run", run, "--queries", "test:3", "--instances", "none", "--samples", "2", "--quiet")
            found = arrays(os.path.join(run, "tracin.h5"))
            ids = [int(i) for i in found["query_id"]]
            noise = keyed_noise(0, TRACIN_QUERIES, 50, ids, 2, D)
            losses[rounding] = [torch_loss(model, self.torch.tensor(pixels[i] / 255.0), self.torch.tensor(eps), 2.0, False).item()
                                for i, eps in zip(ids, noise)]
            np.testing.assert_allclose(found["query_loss"][0], losses[rounding], rtol=1e-10)
        self.assertGreater(np.abs(np.subtract(losses["true"], losses["false"])).max(), 1e-6)

    def test_float32_losses_agree_to_1e_5_with_the_noise_of_metrics(self):
        models = [mlp_vae(D, 36) for _ in STEPS]
        run = self.path("run-float32")
        options = [o if o != "float64" else "float32" for o in self.options("mlp-vae")]
        done = import_checkpoints(self.save("float32", models), run, *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.run_fine("tracin", "--run", run, "--queries", "test:3", "--samples", "2", "--query-noise", "fixed",
                      "--instances", "none", "--quiet")
        found = arrays(os.path.join(run, "tracin.h5"))
        self.assertNotIn("score", found)
        points = self.images["mlp-vae"].reshape(12, -1)[found["query_id"]] / 255.0
        for c, model in enumerate(models):
            for q, x in enumerate(points):
                noise = np.stack([normals(0, VALIDATION_LATENTS, s, q * D, D) for s in range(2)])
                loss = torch_loss(model, *(self.torch.tensor(v, dtype=self.torch.float32) for v in (x, noise)), 2.0, True)
                self.assertLess(abs(found["query_loss"][c, q] / loss.item() - 1), 1e-5)

    def test_an_imported_run_cannot_be_traced_back(self):
        models = self.models("mlp-vae")
        run = self.path("run-no-batches")
        import_checkpoints(self.save("mlp-vae", models), run, *self.options("mlp-vae"))
        for job in (["influence", "--metric", "loss"], ["counterfactual", "--metric", "loss", "--targets", "2"]):
            self.assert_refused([job[0], "--run", run, *job[1:]], "imported", folder=run)
        self.assert_refused(["tracin", "--run", run, "--queries", "self", "--weights", "visits"], "imported", folder=run)

    def test_names_and_shapes_that_do_not_fit_are_listed(self):
        models = self.models("mlp-vae")
        folder = self.save("misfit", models)
        options = self.options("mlp-vae")
        options[options.index("--latent") + 1] = "5"
        done = import_checkpoints(folder, self.path("misfit"), *options)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("encoder.0.weight [32, 36] is not encoder.0.weight [40, 36]", done.stderr)
        self.assertFalse(os.path.exists(self.path("misfit")))
        state = models[0].state_dict()
        state["decoder.9.weight"] = self.torch.zeros(2)
        del state["encoder.0.bias"]
        self.torch.save(state, os.path.join(folder, "model_50.pt"))
        done = import_checkpoints(folder, self.path("misfit"), *self.options("mlp-vae"))
        self.assertIn("is not encoder.0.bias [32]", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_bad_folders_are_refused(self):
        empty, damaged = self.path("empty"), self.path("damaged")
        for folder in (empty, damaged):
            os.makedirs(folder)
        with open(os.path.join(damaged, "model_5.pt"), "w") as file:
            file.write("no checkpoint")
        for folder, words in ((empty, "holds no checkpoints"), (damaged, "cannot be loaded"),
                              (self.path("absent"), "no such folder")):
            done = import_checkpoints(folder, self.path("bad"), *self.options("mlp-vae"))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(words, done.stderr)
            self.assertNotIn("Traceback", done.stderr)
            self.assertFalse(os.path.exists(self.path("bad")))

    def test_code_in_a_checkpoint_does_not_run(self):
        class Evil:
            def __reduce__(self):
                return os.mkdir, (evil,)

        torch, evil, folder = self.torch, self.path("evil"), self.path("pickled")
        path = os.path.join(folder, "a5.pt")
        os.makedirs(folder)
        state = self.models("mlp-vae")[0].state_dict()
        old = {"_use_new_zipfile_serialization": False}
        for value, how in (({"model": state, "other": Evil()}, {}), ({"model": state, "other": Evil()}, old),
                           ([Evil(), state], {}), ({**state, "encoder.0.bias": Evil()}, {}), (Evil(), old),
                           (argparse.Namespace(model=state), {})):
            torch.save(value, path, **how)
            said = self.refused(folder)
            for words in (path + ": cannot be loaded", "--trust"):
                self.assertIn(words, said)
            self.assertFalse(os.path.exists(evil))
        write_bytes(path, pickle.dumps(Evil()))
        self.assertIn("cannot be loaded", self.refused(folder))
        self.assertFalse(os.path.exists(evil))
        torch.save(Evil(), path)  # so that the above says something: this is code, and --trust runs it
        import_checkpoints(folder, self.path("trusted"), *self.options("mlp-vae"), own=["--trust"])
        self.assertTrue(os.path.exists(evil))

    def test_torchscript_is_refused_before_it_is_loaded(self):
        torch = self.torch

        class Noisy(torch.nn.Module):
            @torch.jit.export
            def __getstate__(self):
                return self.training

            @torch.jit.export
            def __setstate__(self, state: bool):
                self.training = state
                print("code of the archive ran")

            def forward(self, x):
                return x

        folder = self.path("script")
        path = os.path.join(folder, "a5.pt")
        os.makedirs(folder)
        torch.jit.save(torch.jit.script(Noisy()), path)
        loads = "import torch; torch.jit.load(%r)" % path
        self.assertIn("ran", subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True).stdout)
        for own in ((), ("--trust",)):
            done = import_checkpoints(folder, self.path("refused"), *self.options("mlp-vae"), own=own)
            self.assertEqual((done.returncode, done.stdout, len(done.stderr.splitlines())), (1, "", 1), done.stderr)
            for words in (path, "TorchScript", "state_dict()"):
                self.assertIn(words, done.stderr)
        # One archive in another is no checkpoint, and a constants.pkl makes any checkpoint a program.
        script = read_bytes(path)
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("archive/data.pkl", script)
            file.writestr("archive/version", "3")
        self.assertIn("cannot be loaded", self.refused(folder))
        torch.save(self.models("mlp-vae")[0].state_dict(), path)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(file.namelist()[0].split("/")[0] + "/constants.pkl", pickle.dumps(()))
        self.assertIn("TorchScript", self.refused(folder))

    def test_options_that_contradict_the_checkpoints_are_named(self):
        folder = self.save("agree", self.models("mlp-vae"))
        for option, *values in (("--checkpoints", "3"), ("--record", "all"), ("--optimiser", "adam"), ("--steps", "60"),
                                ("--steps", "200"), ("--out", "elsewhere")):
            self.assertIn(option, self.refused(folder, option, *values))
        found = self.imported(folder, "agree", "--steps=100", "--checkpoints", "0", "--record", "steps:50", "--quiet")
        self.assertEqual(found["steps"].tolist(), [50, 100])

    def test_a_run_that_jobs_refuse_is_not_left_behind(self):
        program = self.path("program")
        with open(program, "w") as file:
            file.write('#!/bin/sh\n[ "$1" != verify ] || { echo "whence verify: $3: odd" >&2; exit 2; }\nexec %s "$@"\n'
                       % os.path.abspath(WHENCE))
        os.chmod(program, 0o755)
        said = self.refused(self.save("odd", self.models("mlp-vae")), program=program)
        self.assertIn("whence verify: %s: odd" % self.path("refused"), said)

    def test_a_folder_beside_the_run_is_left_alone(self):
        own, before = self.path("beside.new"), os.umask(0o027)
        self.addCleanup(os.umask, before)
        os.makedirs(own)
        self.imported(self.save("beside", self.models("mlp-vae")), "beside")
        self.assertTrue(os.path.isdir(own))
        self.assertEqual(os.stat(self.path("beside")).st_mode & 0o777, 0o750)

    def test_the_networks_are_found_wherever_a_checkpoint_holds_them(self):
        models, torch = self.models("mlp-vae") + self.models("mlp-vae"), self.torch
        optimiser = torch.optim.Adam(models[0].parameters())
        sum((p ** 2).sum() for p in models[0].parameters()).backward()
        optimiser.step()
        adam = optimiser.state_dict()
        wraps = iter((lambda state: {"epoch": 3, "loss": torch.zeros(()), "optimizer": adam, "model": state},
                      lambda state: [{"lr": 0.1}, {"nets": {"optimizer": adam, "vae": {"net": state}}}],
                      lambda state: {**state, "epoch": 3},
                      lambda state: {"model": state, "copy": {name: value.clone() for name, value in state.items()}}))
        folder = self.save("nested", models, lambda state: next(wraps)(state), (25, 50, 75, 100))
        found = self.imported(folder, "nested")
        np.testing.assert_array_equal(found["params"], self.flat(*[model.state_dict() for model in models]))

    def test_of_two_networks_that_fit_one_is_chosen_by_name(self):
        models = self.models("mlp-vae")
        folder = self.save("ema", models, lambda state: {
            "model": state, "nets": {"ema": {name: value / 2 for name, value in state.items()}}})
        said = self.refused(folder)
        for words in ("model_50.pt", "model, nets.ema", "--key"):
            self.assertIn(words, said)
        found = self.imported(folder, "ema", own=["--key", "nets.ema"])
        np.testing.assert_array_equal(found["params"], self.flat(*[m.state_dict() for m in models]) / 2)
        self.assertIn("model, nets.ema", self.refused(folder, own=["--key", "absent"]))

    def test_misfits_are_those_of_the_largest_dictionary(self):
        folder = self.save("largest", self.models("mlp-vae"), lambda state: {
            "stats": {"mean": self.torch.zeros(3)},
            "model": {**{n: v for n, v in state.items() if n != "encoder.0.bias"}, "odd": self.torch.zeros(32)}})
        said = self.refused(folder, lines=None)
        self.assertIn("(model)", said)
        self.assertIn("odd", said)
        self.assertNotIn("mean", said)

    def test_parameters_of_any_kind_and_width_are_taken(self):
        models, states = self.models("mlp-vae") + self.models("mlp-vae"), []
        changes = iter((self.torch.nn.Parameter, lambda value: value.bfloat16(), lambda value: value.half(),
                        lambda value: value.clone().requires_grad_()))

        def changed(state):
            change = next(changes)
            states.append({name: change(value) for name, value in state.items()})
            return states[-1]

        folder = self.save("kinds", models, changed, (25, 50, 75, 100))
        np.testing.assert_array_equal(self.imported(folder, "kinds")["params"], self.flat(*states))
        self.save("kinds", models, lambda state: dict(enumerate(state.values())))
        self.assertIn("text", self.refused(folder))

    def test_step_0_is_taken_where_a_run_can_record_it(self):
        models = self.models("mlp-vae") + self.models("mlp-vae")
        for steps, kept in (((0, 50, 100), (0, 50, 100)), ((0, 40, 80, 100), (0, 40, 80, 100)),
                            ((0, 33, 66, 100), (0, 33, 66, 100)), ((0, 30, 100), (30, 100))):
            name = "start-%s" % "-".join(map(str, steps))
            folder, run = self.save(name, models, steps=steps), self.path("run-" + name)
            done = import_checkpoints(folder, run, *self.options("mlp-vae"))
            self.assertEqual(done.returncode, 0, done.stderr)
            found = arrays(os.path.join(run, "trajectory.h5"))
            self.assertEqual(found["steps"].tolist(), list(kept))
            np.testing.assert_array_equal(found["params"], self.flat(
                *[model.state_dict() for step, model in zip(steps, models) if step in kept]))
            self.assertEqual([line for line in done.stderr.splitlines() if "model_0.pt: left out" in line],
                             done.stderr.splitlines())
            self.assertEqual(done.stderr == "", steps == kept)
        run = self.path("run-start-0-50-100")
        self.run_fine("tracin", "--run", run, "--queries", "self", "--samples", "2", "--quiet")
        self.assertIn("model_0.pt", self.refused(self.save("only", models, steps=(0,))))

    def test_what_the_system_refuses_is_one_sentence(self):
        folder = self.save("system", self.models("mlp-vae"))
        self.assertIn("tools/build", self.refused(folder, program=self.path("absent")))
        file = os.path.join(folder, "model_50.pt")
        self.assertIn(file, self.refused(folder, out=os.path.join(file, "run")))
        self.assertIn("--out", self.refused(folder, out=""))
        os.makedirs(self.path("disk"))
        with small_disk(self.path("disk"), 100):
            self.assertIn("disk", self.refused(folder, out=self.path("disk", "run")))
            self.assertEqual(os.listdir(self.path("disk")), [])

    def test_files_that_are_no_checkpoints_are_named(self):
        folder = self.save("whole", self.models("mlp-vae"))
        path = os.path.join(folder, "model_50.pt")
        whole = read_bytes(path)
        for content in (b"", b"no checkpoint", whole[:len(whole) // 2], whole[:100], bytes(range(255, 0, -1)) * 20):
            write_bytes(path, content)
            said = self.refused(folder)
            self.assertIn(path + ": cannot be loaded", said)
            self.assertNotIn("--trust", said)
        self.torch.save([1, 2], path)
        self.assertIn(path + ": holds no state dict", self.refused(folder))


if __name__ == "__main__":
    main()
