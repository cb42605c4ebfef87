"""A judge of generated images: a classifier of real ones."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Judge:
    """A small classifier of real images, which is shown generated ones.

    It is fitted on one half of the real images, and generated ones are compared with the other half: those that a
    classifier was fitted on look different to it from any that are new.

    Args:
        images: real ones, [n, pixels] in 0…1; at most ``most`` of them are looked at, at random.
        labels: their classes, [n].
        most: how many.
    """

    def __init__(self, images: Array, labels: Array, most: int = 10_000) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        chosen = np.random.default_rng(0).permutation(len(images))[:most]
        shown, kept = np.array_split(chosen, 2)
        self._classifier = MLPClassifier((64,), max_iter=300, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._classifier.fit(images[shown], labels[shown])
        self._real = _moments(self._features(images[kept]))

    def judge(self, images: Array) -> dict[str, float]:
        """How good generated images are.

        Args:
            images: [n, pixels] in 0…1.

        Returns:
            ``confidence``: the mean probability of an image's likeliest class (high where images look like
            something); ``class_entropy``: the entropy of the mean prediction, nats (high where all classes are drawn);
            ``frechet_distance``: between real and generated images in the classifier's hidden layer (few
            images raise it: compare it for equally many only).

        Source: the parts of the inception score, Salimans et al. 2016, "Improved Techniques for Training GANs"; Heusel
        et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", equation 6 (with another classifier).
        """
        predicted = self._classifier.predict_proba(images)
        mean = predicted.mean(axis=0)
        return {
            "confidence": float(predicted.max(axis=1).mean()),
            "class_entropy": float(-(mean * np.log(np.maximum(mean, 1e-12))).sum()),
            "frechet_distance": _frechet_distance(self._real, _moments(self._features(images))),
        }

    def _features(self, images: Array) -> Array:
        weights, biases = self._classifier.coefs_[0], self._classifier.intercepts_[0]
        hidden: Array = np.maximum(images @ weights + biases, 0)
        return hidden


def _moments(features: Array) -> tuple[Array, Array]:
    return features.mean(axis=0), np.cov(features, rowvar=False)


def _frechet_distance(one: tuple[Array, Array], other: tuple[Array, Array]) -> float:
    """``‖m - m'‖² + Tr(C + C' - 2 (C C')^½)`` of means and covariances."""
    from scipy.linalg import eigvals

    (mean, covariance), (their_mean, their_covariance) = one, other
    # The trace of the root is the sum of the roots of the product's eigenvalues, which are real and at least 0.
    roots = np.sqrt(np.maximum(eigvals(covariance @ their_covariance).real, 0)).sum()
    apart = float(np.square(mean - their_mean).sum())
    return apart + float(np.trace(covariance) + np.trace(their_covariance) - 2 * roots)
