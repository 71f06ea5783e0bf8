"""The network that own_network_own_photos.py brings along: plain PyTorch, nothing of `hybrid`."""

from torch import Tensor, nn

__all__ = ["small_network"]


class SmallNetwork(nn.Module):
    """Three convolutions and a classifier, for colour images of 32×32 pixels."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = _layer(3, 16, stride=2)
        self.middle = _layer(16, 32, stride=2)
        self.last = _layer(32, 64, stride=2)
        self.classifier = nn.Linear(64, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, 32, 32) to (n, classes)."""
        features = self.last(self.middle(self.stem(images)))  # (n, 64, 4, 4)
        return self.classifier(features.mean((2, 3)))


def small_network(num_classes: int = 10) -> nn.Module:
    """The function that `hybrid` is told the name of: small_network:small_network."""
    return SmallNetwork(num_classes)


def _layer(inputs: int, outputs: int, *, stride: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
