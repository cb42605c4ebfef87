import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits

from unscathed.lab.tasks.judge import Judge, _frechet_distance, _moments


def test_real_images_are_judged_better_than_noise_and_than_one_class() -> None:
    data = load_digits()
    images = data.data / 16
    judge = Judge(images[:600], data.target[:600])
    real = judge.judge(images[600:])
    noise = judge.judge(np.random.default_rng(0).uniform(size=(600, 64)))
    sevens = judge.judge(images[600:][data.target[600:] == 7])
    assert real["confidence"] > 0.9
    assert real["class_entropy"] == pytest.approx(np.log(10), abs=0.05)
    assert sevens["class_entropy"] < 1
    assert real["frechet_distance"] < 0.2 * min(noise["frechet_distance"], sevens["frechet_distance"])


def test_the_frechet_distance_of_normals() -> None:
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=(50, 4)), 1 + draw.normal(size=(60, 4)) @ draw.normal(size=(4, 4))
    (mean, covariance), (their_mean, their_covariance) = _moments(one), _moments(other)
    root = sqrtm(covariance @ their_covariance).real
    expected = np.square(mean - their_mean).sum() + np.trace(covariance + their_covariance - 2 * root)
    assert _frechet_distance(_moments(one), _moments(other)) == pytest.approx(expected)
    assert _frechet_distance(_moments(one), _moments(one)) == pytest.approx(0, abs=1e-9)
