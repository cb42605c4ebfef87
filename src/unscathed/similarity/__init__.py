"""Similarity: a distance in a space."""

from unscathed.similarity.distances import Cosine, Euclidean, Metric, Similarity
from unscathed.similarity.mahalanobis import Mahalanobis
from unscathed.similarity.siamese import Siamese
from unscathed.similarity.spaces import Encoded, Features, Raw, Space

__all__ = [
    "Cosine",
    "Encoded",
    "Euclidean",
    "Features",
    "Mahalanobis",
    "Metric",
    "Raw",
    "Siamese",
    "Similarity",
    "Space",
]
