"""whence counterfactual --groups, --weight, --noise-draws and --targets largest; LDS by whence validate."""

import os

import h5py
import numpy as np
from scipy.stats import kendalltau, spearmanr

from support import ProgramTest, arrays, attributes, main, read_json, tiny, write_bytes
from vae_support import VALIDATION_LATENTS, mlp_vae, normals, torch_loss, torch_or_skip, write_idx


class GroupsTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.train("run", *tiny(epochs=2, instances=100, batch=10, activation="tanh", held_out=30))
        cls.ids = arrays(cls.run_folder + "/trajectory.h5")["instance_id"]
        cls.run_fine("influence", "--run", cls.run_folder, "--metric", "all,disc-loss", "--epochs-back", "1,2", "--kink-width", "0")

    def counterfactual(self, folder, *options, file="counterfactual.h5", ranks=1):
        self.run_fine("counterfactual", "--run", folder, *options, ranks=ranks)
        return arrays(os.path.join(folder, file))

    def test_random_groups_are_the_same_on_any_ranks_and_hold_each_other(self):
        options = ("--groups", 5, "--fraction", "0.02,0.1,0.5", "--metric", "all", "--epochs-back", "1,2", "--replicas", 4)
        folders = [self.copy_of(self.run_folder, "on-%d" % ranks) for ranks in (1, 2, 3)]
        for ranks, folder in enumerate(folders, 1):
            found = self.counterfactual(folder, *options, file="groups.h5", ranks=ranks)
            self.run_fine("verify", folder)
            self.assert_same_bytes(*(os.path.join(f, "groups.h5") for f in (folder, folders[0])))
        members = np.split(found["member_position"], found["member_end"][:-1])
        self.assertEqual([len(m) for m in members], 5 * [2, 10, 50])
        self.assertEqual(found["fraction"].tolist(), 5 * [0.02, 0.1, 0.5])
        for g in range(0, 15, 3):
            self.assertEqual(len(set(members[g + 2])), 50)
            np.testing.assert_array_equal(members[g], members[g + 2][:2])
            np.testing.assert_array_equal(members[g + 1], members[g + 2][:10])
        np.testing.assert_array_equal(found["member_id"], self.ids[found["member_position"]])
        self.assertEqual(found["influence"].shape, (1, 2, 15))
        self.assertGreater(np.abs(found["influence"]).min(), 0)
        # More of them and other fractions are the same groups.
        more = self.counterfactual(folders[0], "--groups", 7, "--fraction", "0.1", "--metric", "all", "--epochs-back", 1, "--name", "more",
                                   file="groups-more.h5")
        np.testing.assert_array_equal(more["influence"][0, 0, :5], found["influence"][0, 0, 1::3])

    def test_groups_from_a_file(self):
        singles = [int(i) for i in self.ids[[3, 40, 77]]]
        both = self.copy_of(self.run_folder, "both")
        write_bytes(self.path("singles"), "".join("%d\n" % i for i in singles).encode())
        write_bytes(self.path("listed"), ("\n%d\n\n %d \n%d\n%s\n" % (*singles, ", ".join(map(str, singles)))).encode())
        options = ("--metric", "all,disc-loss", "--epochs-back", "1,2")
        truth = self.counterfactual(both, *options, "--targets", self.path("singles"))
        groups = self.counterfactual(both, *options, "--groups", self.path("listed"), file="groups.h5")
        np.testing.assert_array_equal(groups["influence"][:, :, :3], truth["influence"])
        self.assertEqual(groups["member_id"].tolist(), 2 * singles)
        np.testing.assert_allclose(groups["fraction"], [0.01, 0.01, 0.01, 0.03])
        self.assertNotIn(0, groups["influence"][:, 1, 3] - truth["influence"][:, 1].sum(1))
        for content, words in (("1 x", "line 1: 'x' is no id"), ("\n987654", "line 2: no training instance"), ("%d,%d" % (singles[0], singles[0]), "twice"),
                               ("class:1", "no labels"), ("planted", "0 of the 100"), ("", "holds no groups"),
                               (" ".join(map(str, self.ids)), "100 of the 100"), ("planted 3", "nothing follows")):
            write_bytes(self.path("bad"), content.encode())
            self.assert_refused(("counterfactual", "--run", both, "--groups", self.path("bad")), "--groups", words)
        for options, words in ((("--groups", "0"), "--groups"), (("--groups", "/nowhere"), "/nowhere"),
                               (("--groups", 2, "--fraction", "0.001"), "--fraction"), (("--groups", 2, "--fraction", "1"), "--fraction"),
                               (("--weight", "1"), "--weight"), (("--weight", "-0.1"), "--weight"), (("--targets", 2, "--name", "a/b"), "--name"),
                               (("--noise-draws", 0), "--noise-draws"), (("--targets", "largest:101"), "--targets"),
                               (("--targets", "largest:x"), "--targets"), (("--targets", "largest:2", "--metric", "gen-loss"), "--targets")):
            self.assert_refused(("counterfactual", "--run", both, *map(str, options)), words)

    def test_classes_and_planted_instances_are_groups(self):
        draw = np.random.default_rng(0)
        labels = draw.integers(0, 3, 60)
        write_idx(self.path("x"), draw.integers(0, 256, (60, 2, 2)))
        write_idx(self.path("y"), labels)
        write_idx(self.path("p"), draw.integers(0, 256, (9, 2, 2)))
        folder = self.train("labelled", "--data", "idx:%s,%s" % (self.path("x"), self.path("y")), "--plant", "idx:%s:4" % self.path("p"),
                            *tiny(instances=40, held_out=10, batch=10, epochs=1))
        write_bytes(self.path("kinds"), b"class:2\nplanted\n")
        found = self.counterfactual(folder, "--groups", self.path("kinds"), "--from-start", file="groups.h5")
        first, second = np.split(found["member_id"], found["member_end"][:-1])
        ids = arrays(folder + "/trajectory.h5")["instance_id"]
        self.assertEqual(first.tolist(), [i for i in ids if i < 60 and labels[i] == 2])
        self.assertEqual(second.tolist(), [i for i in ids if i >= 10 ** 9])
        self.assertEqual(found["epochs_back"].tolist(), [1])

    def test_from_start_is_all_epochs(self):
        folder = self.copy_of(self.run_folder, "start")
        found = self.counterfactual(folder, "--targets", 6, "--from-start")
        self.assertEqual(found["epochs_back"].tolist(), [2])
        self.assert_refused(("counterfactual", "--run", folder, "--targets", "6"), "from_start", folder=folder)
        again = self.counterfactual(self.copy_of(self.run_folder, "start-2"), "--targets", 6, "--epochs-back", 2)
        np.testing.assert_array_equal(again["influence"], found["influence"])

    def test_a_little_weight_less_is_the_derivative(self):
        folder = self.copy_of(self.run_folder, "weight")
        options = ("--metric", "all,disc-loss", "--epochs-back", "1,2", "--targets", 25)
        little = self.counterfactual(folder, *options, "--weight", "0.9999", file="counterfactual-weight0_9999.h5")
        estimates = arrays(folder + "/influence.h5")["influence"][0][:, :, little["target_position"]]
        derivative = little["influence"] / (1 - 0.9999)
        np.testing.assert_allclose(derivative, estimates, rtol=0, atol=1e-3 * np.abs(estimates).max())
        self.assertEqual(attributes(folder + "/counterfactual-weight0_9999.h5")["weight"], "0.9999")
        whole = self.counterfactual(folder, *options)
        self.assertNotIn("weight", attributes(folder + "/counterfactual.h5"))
        self.counterfactual(folder, *options, "--weight", "0.5", file="counterfactual-weight0_5.h5")
        self.run_fine("verify", folder)
        # validate shows how linear the truth is.
        said = self.run_fine("validate", "--run", folder, "--critical", 3).out
        ceilings = read_json(folder + "/validation.json")["ceilings"]
        self.assertEqual(len(ceilings), 2 * 4)
        half = arrays(folder + "/counterfactual-weight0_5.h5")["influence"]
        for one in ceilings:
            m, k = ["all", "disc-loss"].index(one["metric"]), one["epochs_back"] - 1
            other = half if one["weight"] == 0.5 else little["influence"]
            self.assertAlmostEqual(one["kendall_tau"], kendalltau(whole["influence"][m, k], other[m, k]).statistic, 12)
        self.assertIn("truth of weight 0.5 against this truth", said)
        # Judged by the partial truth, estimates are of what was taken away.
        self.run_fine("validate", "--run", folder, "--critical", 3, "--truth", "weight0_9999", "--out", self.path("partial.json"))
        for row in read_json(self.path("partial.json"))["rows"]:
            self.assertGreater(row["pearson"], 0.99999)

    def test_the_largest_estimates_as_targets(self):
        folder = self.copy_of(self.run_folder, "largest")
        found = self.counterfactual(folder, "--metric", "disc-loss,all", "--epochs-back", "1,2", "--targets", "largest:7")
        estimates = np.abs(arrays(folder + "/influence.h5")["influence"][0, 1, 1])
        np.testing.assert_array_equal(found["target_position"], np.argsort(-estimates, kind="stable")[:7])
        os.remove(folder + "/influence.h5")
        self.assert_refused(("counterfactual", "--run", folder, "--targets", "largest:7", "--name", "x"), "influence.h5")

    def test_listed_groups_of_many_sizes_are_one_set(self):
        kinked = self.train("kinked", *tiny(epochs=2, instances=100, batch=10, held_out=30))
        singles = [int(i) for i in self.ids[[3, 40, 77]]]
        options = ("--metric", "all,disc-loss", "--epochs-back", "1,2")
        write_bytes(self.path("sizes"), ("%d\n%d,%d\n%d,%d,%d\n" % (*singles[:1], *singles[:2], *singles)).encode())
        sizes = self.counterfactual(kinked, *options, "--groups", self.path("sizes"), "--name", "sizes", file="groups-sizes.h5")
        self.run_fine("influence", "--run", kinked, "--metric", "all,disc-loss", "--epochs-back", "1,2", "--kink-width", "0,0.1",
                      "--crossings", "off")
        estimates = arrays(kinked + "/influence.h5")["influence"][:, 1, 1]
        self.assertTrue(np.any(estimates[0] != estimates[1]))
        members = np.split(sizes["member_position"], sizes["member_end"][:-1])
        for h, width in enumerate(("0", "0.1")):
            shown = [line.split(",") for line in self.run_fine("show", "--run", kinked, "--metric", "disc-loss", "--epochs-back", "2", "--kink-width", width,
                                                               "--csv").out.splitlines()]
            listed = {int(line[6]): (line[1], float(line[8])) for line in shown if line[0] == "groups-sizes.h5"}
            self.assertEqual({of for of, _ in listed.values()}, {"disc-loss of listed groups"})
            self.assertEqual(sorted(listed), [0, 1, 2])
            for g, (_, value) in listed.items():
                self.assertAlmostEqual(value, estimates[h][members[g]].sum(), 12)

    def test_lds_is_spearman_over_groups(self):
        folder = self.copy_of(self.run_folder, "lds")
        found = self.counterfactual(folder, "--groups", 12, "--fraction", "0.05,0.2", "--metric", "all,disc-loss", "--epochs-back", "1,2",
                                    file="groups.h5")
        members = np.split(found["member_position"], found["member_end"][:-1])
        draw = np.random.default_rng(1)
        other = draw.normal(size=(2, 100))
        order = draw.permutation(100)
        with open(self.path("scores.csv"), "w") as file:
            file.write("id,all,disc-loss\n" + "".join("%d,%r,%r\n" % (self.ids[i], *map(float, other[:, i])) for i in order))
        with h5py.File(self.path("scores.h5"), "w") as file:
            file["instance_id"], file["all"] = self.ids[order], other[0][order]
        said = self.run_fine("validate", "--run", folder, "--scores", self.path("scores.csv"), "--scores", self.path("scores.h5")).out
        self.assertIn("LDS of", said)
        rows = read_json(folder + "/validation.json")["lds"]
        self.assertEqual(len(rows), 2 * 2 * (2 + 2 + 1))
        estimates = arrays(folder + "/influence.h5")["influence"][0]
        for row in rows:
            m, k = ["all", "disc-loss"].index(row["metric"]), row["epochs_back"] - 1
            scores = estimates[m, k] if row["source"].startswith("influence") else other[m]
            chosen = [g for g in range(24) if found["fraction"][g] == row["fraction"]]
            self.assertEqual(row["groups"], len(chosen), 12)
            expected = spearmanr([scores[members[g]].sum() for g in chosen], found["influence"][m, k, chosen]).statistic
            self.assertAlmostEqual(row["lds"], expected, 12)
            if row["source"].startswith("influence"):
                self.assertGreater(row["lds"], 0.9)
        # show has the groups, too, by the sum of their estimates.
        shown = [line.split(",") for line in self.run_fine("show", "--run", folder, "--metric", "disc-loss", "--epochs-back", "2", "--csv").out.splitlines()]
        listed = {int(line[6]): (line[1], float(line[8]), float(line[9])) for line in shown if line[0] == "groups.h5"}
        self.assertEqual(len(listed), 24)
        for g, (of, value, truth) in listed.items():
            self.assertEqual(of, "disc-loss of groups of %g%%" % (100 * found["fraction"][g]))
            self.assertAlmostEqual(value, estimates[1, 1, members[g]].sum(), 12)
            self.assertEqual(truth, found["influence"][1, 1, g])
        self.assertIn("of 12 retrained: Kendall's tau", self.run_fine("show", "--run", folder, "--metric", "all", "--epochs-back", "1").out)
        self.assertNotIn("groups.h5", self.run_fine("show", "--run", folder, "--instance", str(self.ids[0])).out)
        # Groups of another file are rows of their own.
        self.counterfactual(folder, "--groups", 4, "--fraction", "0.05", "--metric", "all", "--epochs-back", 1, "--name", "more",
                            file="groups-more.h5")
        self.run_fine("validate", "--run", folder, "--out", self.path("both.json"))
        more = [row for row in read_json(self.path("both.json"))["lds"] if row["source"].endswith(" (groups-more)")]
        self.assertEqual([(row["groups"], row["fraction"]) for row in more], [(4, 0.05)])
        self.assertEqual(len(read_json(self.path("both.json"))["lds"]), 8 + 1)
        for content, words in (("x,all\n1,2\n", "id,METRIC"), ("id,all\n%d,nan\n" % self.ids[0], "line 2"), ("id,all\n%d,1\n" % self.ids[0], "has no score"),
                               ("id,all\n%d,1\n%d,1\n" % (self.ids[0], self.ids[0]), "twice")):
            write_bytes(self.path("bad.csv"), content.encode())
            self.assert_refused(("validate", "--run", folder, "--scores", self.path("bad.csv")), "bad.csv", words)
        self.assert_refused(("validate", "--run", self.run_folder, "--scores", self.path("scores.csv")), "groups.h5")

    def test_a_truth_over_noises_is_the_mean_over_draws(self):
        torch = torch_or_skip()
        write_idx(self.path("images"), np.random.default_rng(4).integers(0, 256, (30, 4, 4)))
        folder = self.train("vae", "--game", "mlp-vae", "--data", "idx:" + self.path("images"), "--instances", 20, "--held-out", 6, "--batch", 5,
                            "--epochs", 2, "--latent", 3, "--dtype", "float64", "--record", "all")
        model = mlp_vae(3, 16).double()
        theta = arrays(folder + "/trajectory.h5")["params"][-1]
        torch.nn.utils.vector_to_parameters(torch.from_numpy(theta), model.parameters())
        images = np.random.default_rng(4).integers(0, 256, (30, 4, 4)).reshape(30, -1) / 255.0
        from_run = self.run_fine("tracin", "--run", folder, "--queries", "test:6", "--instances", "none", "--samples", 1)
        held_out = arrays(folder + "/tracin.h5")["query_id"]
        self.assertIsNotNone(from_run)
        for draws in (1, 3):
            file = "counterfactual-draws%d.h5" % draws
            found = self.counterfactual(folder, "--metric", "loss", "--targets", 4, "--noise-draws", draws, "--name", "draws%d" % draws, file=file)
            losses = [torch_loss(model, torch.from_numpy(images[i]), torch.from_numpy(normals(0, VALIDATION_LATENTS, d, 3 * q, 3)[None]), 4.0, True).item()
                      for d in range(draws) for q, i in enumerate(held_out)]
            np.testing.assert_allclose(found["baseline"], np.mean(losses), rtol=1e-10)
        # Estimates of that mean: its value, and the mean of the estimates of its losses, each at one draw.
        self.run_fine("influence", "--run", folder, "--metric", "loss", "--noise-draws", 3, "--kink-width", 0)
        estimates = arrays(folder + "/influence.h5")
        np.testing.assert_allclose(estimates["value"], np.mean(losses), rtol=1e-10)
        table = self.run_fine("validate", "--run", folder, "--truth", "draws1").out
        self.assertIn("the truth is a mean over 1 --noise-draws, the estimates are of 3", table)
        self.assertNotIn("--noise-draws", self.run_fine("validate", "--run", folder, "--truth", "draws3").out)
        gradients = []
        for d in range(3):
            model.zero_grad()
            for q, i in enumerate(held_out):
                torch_loss(model, torch.from_numpy(images[i]), torch.from_numpy(normals(0, VALIDATION_LATENTS, d, 3 * q, 3)[None]), 4.0, True).backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]).numpy() / len(held_out))
        np.testing.assert_allclose(estimates["adjoint_norm"][0, 0, 0], np.linalg.norm(np.mean(gradients, 0)), rtol=1e-9)


if __name__ == "__main__":
    main()
