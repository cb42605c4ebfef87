import torch

from unscathed.lab.models import ResNet18


def test_it_has_the_size_that_papers_report_and_maps_images_to_logits() -> None:
    model = ResNet18()
    assert sum(p.numel() for p in model.parameters()) == 11_173_962
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_it_reads_grey_images_and_other_numbers_of_classes() -> None:
    assert ResNet18(3, channels=1).eval()(torch.randn(1, 1, 16, 16)).shape == (1, 3)
