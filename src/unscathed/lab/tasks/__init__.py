"""Tasks besides classification, generative ones. Everything works on them through `Task` alone."""

from unscathed.lab.tasks.language_model import LanguageModel
from unscathed.lab.tasks.variational_autoencoder import VariationalAutoencoder

__all__ = ["LanguageModel", "VariationalAutoencoder"]
