"""Similarity: a distance in a space."""

from unscathed.similarity.distances import Cosine, Euclidean, Similarity
from unscathed.similarity.spaces import Features, Raw, Space

__all__ = ["Cosine", "Euclidean", "Features", "Raw", "Similarity", "Space"]
