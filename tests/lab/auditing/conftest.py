import pytest
from safetensors.torch import save_file
from tests.support.audits import Lab

from unscathed import Trained


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, original: Trained, gold: Trained, hard: tuple[str, ...]) -> Lab:
    folder = tmp_path_factory.mktemp("models")
    original.save(folder / "original")
    gold.save(folder / "gold")
    save_file(dict(original.weights), folder / "bare.safetensors")
    forget = folder / "forget.txt"
    forget.write_text("\n".join(hard) + "\n\n")
    return Lab(folder, forget, hard)
