"""Turns a user's model into a network with a cut, a quantized edge and trained exits."""
