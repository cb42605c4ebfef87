"""Healing: what makes an unlearned model whole."""

from unscathed.healing.healer import Healer, Strategy

__all__ = ["Healer", "Strategy"]
