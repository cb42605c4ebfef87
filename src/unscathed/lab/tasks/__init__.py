"""Tasks besides classification, generative ones. Everything works on them through `Task` alone."""

from unscathed.lab.tasks.language_model import LanguageModel

__all__ = ["LanguageModel"]
