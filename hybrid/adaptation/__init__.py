"""A model of the user's own to a network with a cut, a quantized edge and exits."""
