"""Fréchet distances against SciPy and closed forms, neighbours against brute force, the small classifier on digits."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from elbowroom.metrics import (
    _precision_recall as manifolds,
)
from elbowroom.metrics import (
    changed_class,
    frechet_distance,
    precision_recall,
    small_classifier,
)
from elbowroom.numerics import InputError


def normals(n: int, k: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, k))


def test_the_distance_is_that_of_scipy() -> None:
    a = normals(400, 6, 0) @ normals(6, 6, 1)
    b = normals(400, 6, 2) @ normals(6, 6, 3) + 0.3
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.trace(sqrtm(first @ second).real)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first) + np.trace(second) - 2 * root
    assert frechet_distance(a, b).distance == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a).distance == pytest.approx(expected, rel=1e-9)


def test_dead_features_and_large_offsets_cost_no_digits() -> None:
    """Scaled copies: the distance is Σ (s − 1)² Var + ‖Δ‖², whatever the rank."""
    rows = normals(500, 4, 0)
    rows[:, 3] = 0.0
    scales, offset = np.array([2.0, 1.0, 0.0, 5.0]), np.array([0.0, 1e6, 0.0, 0.0])
    centred = rows - rows.mean(0)
    q, _ = np.linalg.qr(normals(4, 4, 1))
    found = frechet_distance((centred + offset) @ q, (centred * scales + offset) @ q).distance
    assert found == pytest.approx(np.square(scales - 1) @ rows.var(0, ddof=1), rel=1e-8)


def test_floor_and_standard_error_are_what_repetitions_show() -> None:
    """The floor against pairs of sets of one distribution; the error against the spread over 60 pairs that differ."""
    n, k = 500, 8
    equal = [frechet_distance(normals(n, k, 2 * i), normals(n, k, 2 * i + 1)) for i in range(60)]
    distances, floors = (np.array([getattr(f, name) for f in equal]) for name in ("distance", "floor"))
    assert abs(distances.mean() - floors.mean()) < 3 * math.hypot(distances.std(), floors.std()) / math.sqrt(60)
    apart = [frechet_distance(normals(n, k, 2 * i), 1.5 * normals(n, k, 2 * i + 1) + 0.3) for i in range(60)]
    spread = np.std([f.distance for f in apart], ddof=1)
    expected = math.sqrt(np.mean([f.se**2 for f in apart]))
    assert abs(spread / expected - 1) < 3 / math.sqrt(120)
    truth = k * (0.3**2 + 0.5**2)
    assert abs(np.mean([f.distance for f in apart]) - truth) < 2 * floors.mean()


def test_the_error_of_a_distance_does_not_hang_on_the_order_of_rows() -> None:
    """Every 20th of rows that go through ten classes in turn is of one class: the error was four times as large."""
    rng = np.random.default_rng(0)
    classes = np.arange(400) % 10
    x = rng.normal(size=(400, 2)) + 2 * classes[:, None]
    y = rng.normal(size=(400, 2)) + 2 * rng.integers(0, 10, 400)[:, None] + 3
    in_turn, mixed = (frechet_distance(rows, y) for rows in (x, x[rng.permutation(400)]))
    assert in_turn.distance == pytest.approx(mixed.distance)
    assert 0.6 < in_turn.se / mixed.se < 1.6


def test_floors_of_neighbouring_seeds_share_no_halves() -> None:
    data, samples = normals(60, 2, 0), normals(60, 2, 1)
    floors = [frechet_distance(data, samples, seed=seed).floor for seed in range(60)]
    assert abs(np.corrcoef(floors[1:], floors[:-1])[0, 1]) < 4 / math.sqrt(60)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ((100, 3), (200, 3), "equally many"),
        ((30, 3), (30, 3), "40 examples or more"),
        ((90, 50), (90, 50), "needs 100"),
    ],
)
def test_too_few_features_are_refused(first: tuple[int, int], second: tuple[int, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        frechet_distance(np.zeros(first), np.zeros(second))


def by_brute_force(data: np.ndarray, samples: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """The four definitions, one ball at a time."""
    data_reach, samples_reach = (np.sort(cdist(rows, rows), axis=1)[:, k] for rows in (data, samples))
    inside = [[float(np.linalg.norm(s - d)) <= r for d, r in zip(data, data_reach, strict=True)] for s in samples]
    recalled = [any(math.dist(s, d) <= r for s, r in zip(samples, samples_reach, strict=True)) for d in data]
    return (
        float(np.mean([any(row) for row in inside])),
        float(np.mean(recalled)),
        float(np.sum(inside)) / (k * len(samples)),
        float(np.mean([any(column) for column in zip(*inside, strict=True)])),
    )


@pytest.mark.parametrize("k", [1, 3])
def test_neighbours_are_those_of_brute_force_whatever_the_block(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data, samples = normals(90, 3, 0), 0.7 * normals(90, 3, 1) + 0.4
    monkeypatch.setattr(manifolds, "_ROWS_AT_ONCE", 37)
    found = precision_recall(data, torch.as_tensor(samples), k=k)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(
        by_brute_force(data, samples, k), abs=1e-12
    )


def test_samples_like_the_data_have_the_density_and_coverage_of_theory() -> None:
    """Density 1 and coverage 1 − Π (n − i) / (2n − 1 − i), i < k (Naeem et al. 2020, lemma 2), over repetitions."""
    n, k = 400, 3
    found = [precision_recall(normals(n, 2, 2 * i), normals(n, 2, 2 * i + 1), k=k) for i in range(40)]
    coverage = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    for name, truth in (("density", 1.0), ("coverage", coverage)):
        values = np.array([getattr(f, name) for f in found])
        assert abs(values.mean() - truth) < 3 * values.std(ddof=1) / math.sqrt(len(values)) + 2 / n


def test_what_is_dropped_shows_in_recall_and_what_is_invented_in_precision() -> None:
    two_modes = normals(1_000, 2, 0) + 20 * (np.arange(1_000) % 2)[:, None]
    one_mode = normals(1_000, 2, 1)
    dropped, invented = precision_recall(two_modes, one_mode), precision_recall(one_mode, two_modes)
    assert dropped.precision > 0.95
    assert 0.45 < dropped.recall <= 0.5
    assert (invented.precision, invented.recall) == (dropped.recall, dropped.precision)
    for k in (0, 1_000):
        with pytest.raises(InputError, match="between 1 and n"):
            precision_recall(one_mode, two_modes, k=k)


def test_the_small_classifier_knows_digits_and_counts_changed_classes() -> None:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.data))
    train, test = order[:1_400], order[1_400:]
    classifier = small_classifier(digits.data[train], digits.target[train], image_shape=(8, 8), epochs=15)
    assert (classifier.classes(digits.data[test]).numpy() == digits.target[test]).mean() > 0.93
    images = torch.as_tensor(digits.images[test])
    logits = classifier.head(classifier.features(images)).detach()
    assert torch.equal(logits.argmax(1), classifier.classes(images))
    torch.testing.assert_close(classifier.log_probabilities(images), logits.double().log_softmax(1))
    ones = images[classifier.classes(images) == 1]
    nought = images[classifier.classes(images) == 0][:1].expand(len(ones), 8, 8)
    half = torch.where((torch.arange(len(ones)) % 2 == 0)[:, None, None], ones, nought)
    assert changed_class(classifier, ones, ones).value == 0.0
    share = (len(ones) // 2) / len(ones)
    found = changed_class(classifier, ones, half)
    assert (found.value, found.se) == pytest.approx((share, math.sqrt(share * (1 - share) / len(ones))))
    with pytest.raises(InputError, match="pass them in pairs"):
        changed_class(classifier, images, images[1:])


def test_the_same_seed_trains_the_same_classifier_whatever_torch_drew_before() -> None:
    digits = load_digits()
    features = []
    for drawn in (0, 5):
        torch.randn(drawn)
        classifier = small_classifier(digits.images[:300], digits.target[:300], epochs=1, seed=4)
        features.append(classifier.features(digits.images[:20]))
    assert torch.equal(*features)


@pytest.mark.parametrize("labels", [torch.zeros(19).long(), torch.zeros(20), -torch.ones(20).long()])
def test_labels_that_do_not_fit_are_refused(labels: torch.Tensor) -> None:
    with pytest.raises(InputError, match="one whole number from 0 on for each of the 20 images"):
        small_classifier(torch.zeros(20, 4, 4), labels)


def test_nothing_to_train_on_is_refused() -> None:
    for images, epochs in ((1, 4), (20, 0)):
        with pytest.raises(InputError, match="needs an epoch and 2 images or more"):
            small_classifier(torch.zeros(images, 4, 4), torch.zeros(images).long(), epochs=epochs)


def test_samples_that_are_rows_of_the_data_lie_in_every_ball() -> None:
    rng = np.random.default_rng(0)
    data = np.repeat(rng.normal(size=(100, 784)), 5, 0)  # so that a ball of the third neighbour is a point
    found = precision_recall(data, data[rng.permutation(500)])
    assert (found.precision, found.recall, found.coverage, found.density) == (1.0, 1.0, 1.0, 5 / 3)


def test_rows_far_from_the_rest_cost_no_digits() -> None:
    rng = np.random.default_rng(0)
    data, samples = (rng.normal(size=(200, 3)) + 1e8 * rng.integers(0, 2, (200, 1)) for _ in range(2))
    reach = np.sort(cdist(data, data), 1)[:, 3]
    inside = cdist(samples, data) <= reach
    found = precision_recall(data, samples)
    assert found.precision == inside.any(1).mean()
    assert found.density == pytest.approx(inside.sum() / 3 / 200)
