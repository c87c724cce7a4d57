"""whence density against brute force: every estimator written down again in NumPy, fitted again without each
instance, and the paper's statements about six clusters (Kong and Chaudhuri, NeurIPS 2021, section 3 and B.1)."""

import gzip
import os
import unittest

import h5py
import numpy as np
from scipy.special import gammaln, logsumexp

from support import ProgramTest, arrays, attributes, main, mnist_folder, read_bytes, whence, write_bytes

ESTIMATORS = ("knn", "kde", "gmm")


# ---- the estimators, by their definitions ----


def distances(points, z):
    return np.sqrt(((points - z) ** 2).sum(1))


def knn_log_density(points, z, k):
    n, d = points.shape
    radius = np.sort(distances(points, z))[k - 1]
    return np.log(k) - np.log(n) - (d / 2 * np.log(np.pi) - gammaln(d / 2 + 1)) - d * np.log(radius)


def kde_log_density(points, z, sigma):
    n, d = points.shape
    return (logsumexp(-distances(points, z) ** 2 / (2 * sigma ** 2)) - np.log(n)
            - d / 2 * np.log(2 * np.pi * sigma ** 2))


def gmm_log_density(points, clusters, z):
    n, d = points.shape
    mine = points[clusters == clusters[np.argmin(distances(points, z))]]
    mean = mine.mean(0)
    variance = ((mine - mean) ** 2).sum() / (len(mine) * d)
    return (np.log(len(mine) / n) - d / 2 * np.log(2 * np.pi * variance)
            - ((z - mean) ** 2).sum() / (2 * variance))


def log_density(name, points, clusters, z, k, sigma):
    if name == "knn":
        return knn_log_density(points, z, k)
    return kde_log_density(points, z, sigma) if name == "kde" else gmm_log_density(points, clusters, z)


def exact_influence(name, points, clusters, z, k, sigma):
    """log p(z; X) - log p(z; X without i) for every i."""
    keep = ~np.eye(len(points), dtype=bool)
    without = [log_density(name, points[row], None if clusters is None else clusters[row], z, k, sigma)
               for row in keep]
    return log_density(name, points, clusters, z, k, sigma) - np.array(without)


def formula_4(points, clusters, z, corrected):
    """(4) as printed, or with the factor |x_i - mu|^2 / d that its derivation loses."""
    n, d = points.shape
    mine = clusters == clusters[np.argmin(distances(points, z))]
    size, mean = mine.sum(), points[mine].mean(0)
    variance = ((points[mine] - mean) ** 2).sum() / (size * d)
    first = ((z - mean) ** 2).sum() / variance
    if corrected:
        first = first * ((points - mean) ** 2).sum(1) / d
    inside = (d + 2) / (2 * size) + (first - distances(points, z) ** 2) / (2 * size * variance) - 1 / n
    return np.where(mine, inside, -1 / n)


def csv_text(points, clusters=None, header=None):
    lines = [header] if header else []
    for i, point in enumerate(points):
        cells = [repr(float(x)) for x in point] + ([] if clusters is None else [str(clusters[i])])
        lines.append(",".join(cells))
    return ("\n".join(lines) + "\n").encode()


class DensityTest(ProgramTest):
    @classmethod
    def density(cls, name, *options, ranks=1, timeout=240):
        """Runs the job into the folder `name`; its arrays with the estimators' order and the printed text."""
        folder = os.path.join(cls.place, name)
        done = cls.run_fine("density", "--out", folder, *options, ranks=ranks, timeout=timeout)
        result = arrays(os.path.join(folder, "density.h5"))
        result["names"] = attributes(os.path.join(folder, "density.h5"))["estimators"].split(",")
        result["text"] = done.out
        return result

    def csv(self, name, points, clusters=None, header=None):
        write_bytes(self.path(name), csv_text(points, clusters, header))
        return "csv:" + self.path(name) + ("" if clusters is None else ",%d" % (points.shape[1] + 1))

    def assert_close(self, actual, expected, tolerance, what):
        """`tolerance`: absolute for values up to 1, relative to larger ones."""
        worst = (np.abs(actual - expected) / np.maximum(1, np.abs(expected))).max()
        self.assertLess(worst, tolerance, "%s differ by %g" % (what, worst))

    def assert_same_file(self, a, b):
        """Equal bytes; the arrays first, for a message that says where they differ."""
        paths = [os.path.join(folder, "density.h5") for folder in (a, b)]
        self.assert_same_arrays(*paths)
        self.assertTrue(read_bytes(paths[0]) == read_bytes(paths[1]), "%s and %s" % tuple(paths))

    def assert_brute_force(self, result, points, clusters, queries, k, sigma, tolerance):
        """Tables, self-influences and likelihoods of all estimators in the file are those of brute force."""
        for e, name in enumerate(result["names"]):
            for q, z in enumerate(queries):
                expected = exact_influence(name, points, clusters, z, k, sigma)
                self.assert_close(result["influence_exact"][e, q], expected, tolerance, name)
                self.assert_close(result["query_log_likelihood"][e, q],
                                  log_density(name, points, clusters, z, k, sigma), tolerance, name)
                if name == "gmm":
                    self.assert_close(result["influence_closed"][e, q], formula_4(points, clusters, z, False),
                                      tolerance, "formula (4)")
                    self.assert_close(result["influence_corrected"][q], formula_4(points, clusters, z, True),
                                      tolerance, "formula (4), corrected")
            for i in range(len(points) if "self_influence_exact" in result else 0):
                self.assert_close(result["self_influence_exact"][e, i],
                                  exact_influence(name, points, clusters, points[i], k, sigma)[i], tolerance, name)
                self.assert_close(result["log_likelihood"][e, i],
                                  log_density(name, points, clusters, points[i], k, sigma), tolerance, name)
            if name != "gmm":
                self.assert_close(result["influence_closed"][e], result["influence_exact"][e], tolerance, name)
                self.assertLess(result["largest_difference"][e], tolerance)
        for q, z in enumerate(queries):
            self.assert_close(result["distance"][q], distances(points, z), tolerance, "distances")


class SixClusters(DensityTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.result = cls.density("six", "--data", "six-clusters")
        cls.points, cls.clusters = cls.result["points"], cls.result["cluster"]
        cls.exact = dict(zip(cls.result["names"], cls.result["self_influence_exact"]))
        cls.likelihood = dict(zip(cls.result["names"], cls.result["log_likelihood"]))

    def test_sizes_and_deviations_are_the_papers(self):
        self.assertEqual(np.bincount(self.clusters).tolist(), [25, 15, 20, 25, 10, 5])
        many = self.density("many", "--instances", "20000", "--self-influence", "no", "--queries", "1")
        for cluster, deviation in enumerate((0.5, 0.5, 0.4, 0.4, 0.5, 1.0)):
            mine = many["points"][many["cluster"] == cluster]
            self.assertEqual(len(mine), 200 * (25, 15, 20, 25, 10, 5)[cluster])
            self.assertLess(abs(mine.std(0).mean() / deviation - 1), 0.05)
            centre = mine.mean(0)
            others = many["points"][many["cluster"] != cluster]
            self.assertGreater(distances(others, centre).min(), distances(mine, centre).max())

    def test_everything_is_what_brute_force_gives(self):
        self.assertEqual(self.result["names"], list(ESTIMATORS))
        np.testing.assert_array_equal(self.result["query_id"], np.arange(100))
        self.assert_brute_force(self.result, self.points, self.clusters, self.points, 10, 1.0, 1e-11)

    def test_formula_5_is_formula_4_on_the_instance_itself(self):
        gmm = self.result["names"].index("gmm")
        for i, z in enumerate(self.points):
            self.assertAlmostEqual(self.result["self_influence_closed"][gmm, i],
                                   formula_4(self.points, self.clusters, z, False)[i], 11)
            self.assertAlmostEqual(self.result["self_influence_corrected"][i],
                                   formula_4(self.points, self.clusters, z, True)[i], 11)
        for e in range(2):
            self.assert_close(self.result["self_influence_closed"][e], self.result["self_influence_exact"][e], 1e-11,
                              self.result["names"][e])

    def test_knn_puts_the_cluster_of_exactly_k_first(self):
        highest = np.argsort(-self.exact["knn"])[:10]
        self.assertEqual(set(self.clusters[highest]), {4})
        self.assertGreater(self.exact["knn"][highest].min(), 2 * np.delete(self.exact["knn"], highest).max())

    def test_kde_orders_instances_by_the_reverse_of_likelihood(self):
        np.testing.assert_array_equal(np.argsort(self.exact["kde"]), np.argsort(-self.likelihood["kde"]))
        self.assertEqual(self.clusters[np.argmax(self.exact["kde"])], 5)

    def test_kde_orders_influences_by_the_reverse_of_distance(self):
        kde = self.result["influence_exact"][self.result["names"].index("kde")]
        for q in range(100):
            near = self.result["distance"][q] < 5  # farther kernels are below the rounding errors of the sum
            order = np.argsort(self.result["distance"][q][near])
            self.assertTrue((np.diff(kde[q][near][order]) < 1e-13).all())

    def test_mixture_has_opponents_in_a_points_own_cluster(self):
        gmm = self.result["influence_exact"][self.result["names"].index("gmm")]
        centre = self.points[self.clusters == 0].mean(0)
        q = np.argmin(distances(self.points, centre) + 1e9 * (self.clusters != 0))
        own = gmm[q][self.clusters == 0]
        self.assertLess(own.min(), gmm[q][self.clusters != 0].min(), "the strongest opponent is of the own cluster")
        self.assertGreater(own.max(), 0)
        self.assertEqual(np.argmax(gmm[q]), np.argmin(self.result["distance"][q]))

    def test_mixture_self_influence_grows_with_the_distance_to_the_centre(self):
        for cluster in range(6):
            mine = self.clusters == cluster
            centre = self.points[mine].mean(0)
            np.testing.assert_array_equal(np.argsort(self.exact["gmm"][mine]),
                                          np.argsort(distances(self.points[mine], centre)))

    def test_the_job_prints_the_largest_differences(self):
        for e, name in enumerate(ESTIMATORS):
            line = next(line for line in self.result["text"].splitlines() if line.startswith(name))
            numbers = [float(x) for x in line.split()[1:]]
            self.assertAlmostEqual(numbers[0] / self.result["largest_difference"][e], 1, 3)
            closed, exact = self.result["influence_closed"][e], self.result["influence_exact"][e]
            selves = self.result["self_influence_closed"][e] - self.result["self_influence_exact"][e]
            self.assertAlmostEqual(self.result["largest_difference"][e],
                                   max(np.abs(closed - exact).max(), np.abs(selves).max()), 14)
            if name == "gmm":
                self.assertAlmostEqual(numbers[1] / self.result["corrected_difference"][0], 1, 3)

    def test_more_ranks_give_the_same_file(self):
        for ranks in (2, 3):
            other = self.path("six%d" % ranks)
            self.run_fine("density", "--out", other, "--data", "six-clusters", ranks=ranks)
            self.assert_same_file(self.path("six"), other)


class OrderOfTheMixture(DensityTest):
    """Every instance doubled leaves clusters as they are and doubles N_0 and N."""

    def differences(self):
        rng = np.random.default_rng(5)
        centres = np.repeat([[0.0, 0, 0], [9, 0, 0]], [40, 20], axis=0)
        points, clusters = rng.normal(0, 0.6, (60, 3)) + centres, np.repeat([0, 1], [40, 20])
        for times in (4, 8, 16, 32):
            data = self.csv("x%d.csv" % times, np.tile(points, (times, 1)), np.tile(clusters, times))
            result = self.density("x%d" % times, "--estimator", "gmm", "--data", data, "--queries", "ids:0,1,2,41")
            yield (np.abs(result["influence_closed"] - result["influence_exact"]).max(),
                   np.abs(result["influence_corrected"] - result["influence_exact"][0]).max(),
                   np.abs(result["self_influence_corrected"] - result["self_influence_exact"][0]).max())

    def test_corrected_is_of_second_order_and_printed_of_first(self):
        printed, corrected, selves = np.array(list(self.differences())).T
        print("halved by doubling N0: printed %s, corrected %s, self %s" % tuple(
            np.round(x[:-1] / x[1:], 3) for x in (printed, corrected, selves)))
        for ratio in (corrected[:-1] / corrected[1:], selves[:-1] / selves[1:]):
            self.assertTrue((np.abs(ratio - 4) < 0.6).all(), str(ratio))
            self.assertLess(abs(ratio[-1] - 4), 0.1)
        self.assertLess(abs(printed[-2] / printed[-1] - 2), 0.1)


class Numerics(DensityTest):
    """Nothing underflows, cancels or depends on where the data lies."""

    def test_many_dimensions(self):
        rng = np.random.default_rng(1)
        points = rng.normal(0, 3, (40, 3072))
        points[:20] += 20
        clusters = np.repeat([0, 1], 20)
        result = self.density("wide", "--data", self.csv("wide.csv", points, clusters), "--k", "3", "--sigma", "0.5")
        self.assert_brute_force(result, points, clusters, points, 3, 0.5, 1e-10)
        kde = result["self_influence_exact"][1]
        self.assertGreater(kde.min(), 1e4, "kernels far below the smallest double")
        for e in range(2):
            relative = np.abs(result["influence_closed"][e] / result["influence_exact"][e] - 1)
            self.assertLess(relative.max(), 1e-9)

    def test_queries_far_from_all_instances(self):
        """Held-out points in many dimensions: every kernel is far below the smallest double."""
        points = np.random.default_rng(6).normal(0, 3, (30, 3072))
        result = self.density("held-out", "--estimator", "knn,kde", "--data", self.csv("far.csv", points), "--sigma",
                              "0.5", "--queries", "held-out:4", "--self-influence", "no")
        mine, queries = points[result["instance_id"]], points[result["query_id"]]
        self.assert_brute_force(result, mine, None, queries, 10, 0.5, 1e-10)
        self.assertLess(result["query_log_likelihood"][1].max(), -1e5)

    def test_clusters_far_from_the_origin_and_each_other(self):
        rng = np.random.default_rng(2)
        clusters = np.repeat([0, 1, 2], [8, 9, 13])
        points = rng.normal(0, 1e-3, (30, 5)) + 1e4 * (clusters[:, None] - 1) + 1e6
        result = self.density("far", "--data", self.csv("far.csv", points, clusters), "--k", "4", "--sigma", "1e-3")
        self.assert_brute_force(result, points, clusters, points, 4, 1e-3, 1e-6)
        knn = result["names"].index("knn")
        for i, z in enumerate(points):  # distances are as exact as the numbers in the file
            self.assertAlmostEqual(result["log_likelihood"][knn, i], knn_log_density(points, z, 4), 6)

    def test_outliers(self):
        rng = np.random.default_rng(3)
        points = np.concatenate([rng.normal(0, 1, (9, 2)), [[1e6, 0]], rng.normal(0, 1, (9, 2)) - [1e9, 0]])
        clusters = np.repeat([0, 1], [10, 9])
        result = self.density("outliers", "--data", self.csv("outliers.csv", points, clusters), "--k", "2")
        for e, name in enumerate(result["names"]):
            for q, z in enumerate(points):
                expected = exact_influence(name, points, clusters, z, 2, 1.0)
                relative = np.abs(result["influence_exact"][e, q] - expected) / np.maximum(1, np.abs(expected))
                self.assertLess(relative.max(), 1e-5, (name, q))

    def test_ties_and_equal_points(self):
        grid = np.stack(np.meshgrid(range(6), range(6)), -1).reshape(-1, 2).astype(float)
        points = np.concatenate([grid, grid[:7]])
        for k in (3, 4, 9):
            with self.subTest(k=k):
                result = self.density("ties%d" % k, "--estimator", "knn,kde", "--k", str(k), "--data",
                                      self.csv("ties.csv", points))
                self.assert_brute_force(result, points, None, points, k, 1.0, 1e-12)

    def test_a_hundred_thousand_points(self):
        result = self.density("many", "--estimator", "knn,kde", "--data", "normal2d", "--instances", "100000",
                              "--queries", "5", "--self-influence", "no", "--sigma", "0.05")
        points = result["points"]
        self.assertEqual(points.shape, (100000, 2))
        for q, z in enumerate(result["query_points"]):
            logs = -distances(points, z) ** 2 / (2 * 0.05 ** 2)
            order = np.argsort(distances(points, z))
            radii = distances(points, z)[order]
            knn = np.full(100000, np.log(99999 / 100000))
            knn[order[:10]] += 2 * np.log(radii[10] / radii[9])
            self.assert_close(result["influence_exact"][0, q], knn, 1e-11, "k-NN")
            for i in (order[0], order[1], order[500], order[-1]):
                rest = logsumexp(np.delete(logs, i))
                self.assertAlmostEqual(result["influence_exact"][1, q, i],
                                       logsumexp(logs) - rest + np.log(99999 / 100000), 11)
            self.assert_close(result["influence_closed"][1, q], result["influence_exact"][1, q], 1e-11, "KDE")

    def test_blocks_and_ranks(self):
        """More instances than a block of pairs holds, more queries than a block of queries."""
        rng = np.random.default_rng(4)
        clusters = rng.integers(0, 3, 2500)
        points = rng.normal(0, 1, (2500, 4)) + 30 * clusters[:, None]
        options = ("--data", self.csv("blocks.csv", points, clusters), "--queries", "40", "--k", "7", "--sigma", "0.3")
        result = self.density("blocks1", *options)
        squared = ((points[:, None] - points) ** 2).sum(2)
        radii = np.sqrt(np.sort(squared, 1))
        knn = np.log(2499 / 2500) + 4 * np.log(radii[:, 7] / radii[:, 6])
        self.assert_close(result["self_influence_exact"][0], knn, 1e-11, "k-NN")
        logs = -squared / (2 * 0.3 ** 2)
        total = logsumexp(logs, 1)
        np.fill_diagonal(logs, -np.inf)
        kde = total - logsumexp(logs, 1) + np.log(2499 / 2500)
        self.assert_close(result["self_influence_exact"][1], kde, 1e-10, "KDE")
        positions = result["query_position"]
        np.testing.assert_array_equal(result["query_id"], positions)
        self.assertEqual(len(set(positions)), 40)
        mixture = {"names": ["gmm"], **{name: result[name] for name in ("distance", "influence_corrected")}}
        for name in ("influence_exact", "influence_closed", "query_log_likelihood"):
            mixture[name] = result[name][2:]
        some = points[positions[:20]]  # across blocks of queries
        self.assert_brute_force(mixture, points, clusters, some, 7, 0.3, 1e-10)
        for e in range(3):
            self.assert_close(result["influence_exact"][e][np.arange(40), positions],
                              result["self_influence_exact"][e][positions], 1e-11, "self-influences in the table")
        for ranks in (2, 3):
            self.run_fine("density", "--out", self.path("blocks%d" % ranks), *options, ranks=ranks)
            self.assert_same_file(self.path("blocks1"), self.path("blocks%d" % ranks))

    def test_images(self):
        result = self.density("mnist", "--data", "mnist:" + mnist_folder(), "--instances", "400", "--queries",
                              "held-out:3", "--self-influence", "no")
        self.assertEqual(result["influence_exact"].shape, (3, 3, 400))
        self.assertEqual(result["query_position"].tolist(), [-1, -1, -1])
        self.assertFalse(set(result["query_id"]) & set(result["instance_id"]))
        self.assertNotIn("points", result)
        self.assertLess(result["largest_difference"][:2].max(), 1e-9)
        with gzip.open(os.path.join(mnist_folder(), "train-images-idx3-ubyte.gz")) as file:
            images = np.frombuffer(file.read(), np.uint8, offset=16)
        images = images.reshape(-1, 784) / 127.5 - 1
        self.assert_brute_force(result, images[result["instance_id"]],
                                result["cluster"], images[result["query_id"]], 10, 1.0, 1e-8)


class BadInput(DensityTest):
    def refused(self, *options, names, ranks=(1, 3)):
        folder = self.path("never")
        self.assert_refused(["density", "--out", folder, "--quiet", *options], *names, ranks=ranks)
        self.assertFalse(os.path.exists(os.path.join(folder, "density.h5")))

    def test_impossible_options(self):
        self.refused("--k", "100", names=["--k is 100"])
        self.refused("--k", "101", names=["--k is 101"], ranks=(1,))
        self.refused("--k", "0", names=["--k is 0"], ranks=(1,))
        self.refused("--sigma", "0", names=["--sigma is 0"])
        for sigma in ("-1", "nan", "inf", "1e-200", "1e200"):
            self.refused("--sigma", sigma, names=["--sigma"], ranks=(1,))
        for queries in ("0", "101", "some", "ids:", "ids:100", "ids:1,1", "ids:-1", "held-out:0", "first:3"):
            self.refused("--queries", queries, names=["--queries"], ranks=(1,))
        for option, value in (("estimator", "knn,kd"), ("estimator", "kde,kde"), ("estimator", ""),
                              ("self-influence", "maybe"), ("instances", "0"), ("instances", "30"), ("data", "blobs")):
            self.refused("--" + option, value, names=["--" + option], ranks=(1,))
        self.refused("--data", "normal2d", names=["--instances"], ranks=(1,))

    def test_k_of_all_but_one_is_possible(self):
        self.density("largest", "--k", "99", "--estimator", "knn", "--queries", "1")

    def test_clusters_without_instances(self):
        points = np.random.default_rng(0).normal(size=(12, 2))
        for name, clusters, says in (("empty", [0] * 6 + [2] * 6, "cluster 1 is empty"),
                                     ("one", [0] * 6 + [1] + [2] * 5, "cluster 1 has 1 instance:"),
                                     ("two", [0] * 6 + [1] * 2 + [2] * 4, "cluster 1 has 2 instances:"),
                                     ("huge", [0] * 11 + [10 ** 14], "cluster 100000000000000")):
            with self.subTest(name=name):
                data = self.csv(name + ".csv", points, clusters)
                self.refused("--data", data, "--k", "3", names=[says])
                self.density(name, "--data", data, "--k", "3", "--estimator", "knn,kde")
        self.refused("--data", self.csv("none.csv", points), "--k", "3", names=["gmm needs clusters"])

    def test_clusters_without_variance(self):
        points = np.zeros((8, 2))
        points[4:] = np.random.default_rng(0).normal(size=(4, 2)) + 9
        self.refused("--data", self.csv("equal.csv", points, [0] * 4 + [1] * 4), "--estimator", "gmm",
                     names=["cluster 0 has the variance 0: "])
        points[3] = 0.5
        self.refused("--data", self.csv("equal.csv", points, [0] * 4 + [1] * 4), "--estimator", "gmm",
                     names=["without instance 3"])

    def test_infinite_densities(self):
        points = np.random.default_rng(0).normal(size=(12, 2))
        points[5] = points[7] = points[2]
        data = self.csv("copies.csv", points)
        self.refused("--data", data, "--estimator", "knn", "--k", "3", names=["query 2 is infinite"])
        self.refused("--data", data, "--estimator", "knn", "--k", "3", "--queries", "ids:0",
                     names=["instance 2 is infinite"])
        self.density("copies", "--data", data, "--estimator", "knn", "--k", "4")

    def test_bad_numbers_name_their_line(self):
        cases = (("nan", "x,y\n1,2\n3,nan\n4,5\n", "line 3, column 2: 'nan'"),
                 ("NaN", "1,2\n\nNaN,4\n", "line 3, column 1: 'NaN'"),
                 ("first", "nan,2\n3,4\n", "line 1, column 1"),
                 ("inf", "1,2\n-inf,3\n", "line 2, column 1"),
                 ("overflow", "1,2\n1e999,3\n", "line 2, column 1"),
                 ("word", "1,2\n3,four\n", "line 2, column 2: 'four'"),
                 ("empty", "1,2\n3,\n", "line 2, column 2: ''"),
                 ("half", "1,2\n3,4x\n", "line 2, column 2: '4x'"),
                 ("short", "7,2\n3\n", "line 2 has 1 cells"),
                 ("long", "7,2\n3,4,5\n", "line 2 has 3 cells"),
                 ("nothing", "", "holds no rows"), ("header", "x,y\n", "holds no rows"))
        for name, text, says in cases:
            with self.subTest(name=name):
                path = self.path(name + ".csv")
                write_bytes(path, text.encode())
                self.refused("--data", "csv:" + path, "--estimator", "kde", names=[path + ": " + says],
                             ranks=(1, 3) if name == "nan" else (1,))
        self.refused("--data", "csv:" + self.path("missing.csv"), names=["missing.csv: cannot be opened"])

    def test_bad_cluster_columns(self):
        path = self.path("columns.csv")
        write_bytes(path, b"x,y,c\n1,2,0\n3,4,1.5\n")
        for column, says in (("d", "no column 'd'"), ("4", "no column '4'"), ("0", "no column '0'"),
                             ("c", "line 3, column 3: '1.5' is not a cluster")):
            self.refused("--data", "csv:" + path + "," + column, names=[says], ranks=(1,))
        write_bytes(path, b"0\n1\n")
        self.refused("--data", "csv:" + path + ",1", names=["no column beside"], ranks=(1,))

    def test_output_folders(self):
        self.density("again", "--estimator", "kde")
        before = read_bytes(self.path("again", "density.h5"))
        self.density("again", "--estimator", "kde")
        self.assert_refused(["density", "--out", self.path("again"), "--estimator", "kde", "--sigma", "2"], "sigma is 1")
        self.assertEqual(before, read_bytes(self.path("again", "density.h5")))
        self.density("again", "--estimator", "kde", "--sigma", "2", "--overwrite")
        self.assertNotEqual(before, read_bytes(self.path("again", "density.h5")))
        write_bytes(self.path("file"), b"")
        self.assert_refused(["density", "--out", self.path("file")], "--out", ranks=(1, 3))


class Csv(DensityTest):
    def test_headers_blanks_and_columns(self):
        path = self.path("a.csv")
        write_bytes(path, b"x, kind ,y\r\n+1.5, 0 , 2e0\r\n\r\n  3 ,1,4\r\n5,0,6\r\n")
        for column in (",kind", ",2"):
            with self.subTest(column=column):
                result = self.density("a" + column[1:], "--data", "csv:" + path + column, "--estimator", "kde")
                self.assertEqual(result["points"].tolist(), [[1.5, 2], [3, 4], [5, 6]])
                self.assertEqual(result["cluster"].tolist(), [0, 1, 0])
                self.assertEqual(result["instance_id"].tolist(), [0, 1, 2])
        result = self.density("all", "--data", "csv:" + path, "--estimator", "kde")
        self.assertEqual(result["points"].tolist(), [[1.5, 0, 2], [3, 1, 4], [5, 0, 6]])
        self.assertNotIn("cluster", result)

    def test_held_out_rows_are_not_instances(self):
        points = np.arange(60.0).reshape(20, 3)
        result = self.density("held", "--data", self.csv("h.csv", points), "--estimator", "kde", "--queries",
                              "held-out:6")
        self.assertEqual(sorted([*result["instance_id"], *result["query_id"]]), list(range(20)))
        np.testing.assert_array_equal(result["points"], points[result["instance_id"]])
        np.testing.assert_array_equal(result["query_points"], points[result["query_id"]])


class FileAndReport(DensityTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.density("run")

    def test_attributes(self):
        found = attributes(self.path("run", "density.h5"))
        self.assertEqual((found["schema"], found["schema_version"]), ("whence.density", "1"))
        self.assertEqual(found["estimators"], "knn,kde,gmm")
        self.assertIn("without j minus V with j", found["sign_convention"])
        self.assertTrue(found["data"].startswith("six-clusters N=100 "))
        write_bytes(self.path("replay.cfg"), found["settings"].encode())
        self.density("replay", "--config", self.path("replay.cfg"))
        self.assert_same_file(self.path("run"), self.path("replay"))

    def test_info_and_verify(self):
        self.assertIn("influence_exact", whence("info", self.path("run", "density.h5")).out)
        self.assertIn("whole", whence("verify", self.path("run")).out)
        copy = self.copy_of(self.path("run"), "damaged")
        with h5py.File(os.path.join(copy, "density.h5"), "r+") as file:
            file["influence_exact"][0, 3, 5] += 1e-9
        self.assert_refused(["verify", copy], "influence_exact")

    def test_dry_run_writes_nothing(self):
        done = whence("density", "--out", self.path("dry"), "--dry-run")
        self.assertEqual(done.code, 0, str(done))
        self.assertIn("instances 100, queries 100", done.out)
        self.assertFalse(os.path.exists(self.path("dry")))

    def test_report_draws_figures_5_to_7(self):
        page, complaints = self.report(self.path("run"))
        self.assertEqual(complaints, "")
        for figure in ("Figure 5", "Figure 6a", "Figure 6b", "Figure 7a", "Figure 7b"):
            self.assertIn(figure, page)
        self.assertEqual(page.count("<figure>"), 5)
        self.assertGreaterEqual(page.count("<svg"), 5)
        self.assertNotIn("http", page, "the page refers to no other place")
        self.assertNotIn("whence influence", page, "densities have no training to trace back through")

    def test_report_says_what_is_missing(self):
        os.makedirs(self.path("nothing"), exist_ok=True)
        points = np.random.default_rng(0).normal(size=(30, 5))
        self.density("partial", "--data", self.csv("five.csv", points), "--estimator", "kde", "--self-influence", "no",
                     "--queries", "2")
        page, complaints = self.report(self.path("nothing"), self.path("partial"))
        self.assertIn("holds nothing that a job of Whence has made", page)
        self.assertIn("no 'Figure 5: the data': density.h5 has no points", complaints)
        self.assertIn("made with --self-influence no", page)
        self.assertIn("Figure 7b", page)
        self.assertEqual(page.count("<svg"), 1)


if __name__ == "__main__":
    main()
