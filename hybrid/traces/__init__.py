"""Traces: what every exit predicted for every sample of a split, and how confident it was."""
