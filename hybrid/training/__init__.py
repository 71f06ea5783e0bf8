"""Training on Lightning: recipes in files beside the code that reads them."""

from hybrid.torchvision_fix import declare_operators

# Lightning's metrics import torchvision, so the operators must stand before Lightning is read.
declare_operators()
