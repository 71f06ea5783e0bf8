"""Every family of torchvision's classifiers is counted as torch's own counter counts it."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hybrid.models.cutting import check_any, cuts, pieces, worthwhile
from hybrid.models.tracing import trace
from hybrid.models.user_models import load_model

pytestmark = pytest.mark.slow  # whole models

FAMILIES = {  # with the smallest images that all their layers can take
    "alexnet": 64,
    "convnext_tiny": 32,
    "densenet121": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 32,
    "googlenet": 32,
    "inception_v3": 75,
    "maxvit_t": 224,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_x_400mf": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_1": 32,
    "swin_t": 64,
    "swin_v2_t": 64,
    "vgg11_bn": 32,
    "vit_b_16": 224,
    "wide_resnet50_2": 32,
}


@pytest.mark.parametrize("name, side", FAMILIES.items())
@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
def test_a_model_is_counted_and_cut_in_halves(name: str, side: int):
    model = load_model(f"torchvision.models:{name}", classes=10)
    for parameter in model.parameters():
        if not parameter.any():  # a transformer's fresh head answers 0 to everything
            torch.nn.init.normal_(parameter, std=0.1)
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:
        model(torch.zeros(1, 3, side, side))  # with gradients: attention is no single kernel

    outline = trace(model, shape=(3, side, side), reference=name)
    found = cuts(outline)
    check_any(found, reference=name)
    chosen = [cut for cut in worthwhile(found) if not cut.exit_only]
    halves = pieces(outline, [chosen[len(chosen) // 2]])

    assert outline.macs == pytest.approx(counter.get_total_flops() / 2, rel=0.01)
    images = torch.rand(3, 3, side, side).to(memory_format=torch.channels_last)
    with torch.no_grad():
        whole = model(images)
        # fresh weights give answers of any size, from 0.01 to 10 million
        assert (halves[1](halves[0](images)) - whole).norm() < 1e-4 * whole.norm()
