"""A user's model to a network with a cut, a quantized edge and exits."""
