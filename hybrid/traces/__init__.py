"""Traces: the answer and confidence of every exit for every sample of a split."""
