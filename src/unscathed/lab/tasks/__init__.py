"""Tasks beyond classification: what is learned is a distribution."""

__all__: list[str] = []
