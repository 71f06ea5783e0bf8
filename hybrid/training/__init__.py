"""Training with Lightning, from recipes in TOML files."""

from hybrid.torchvision_fix import declare_operators

# Lightning's metrics import torchvision, so declare the operators before importing Lightning.
declare_operators()
