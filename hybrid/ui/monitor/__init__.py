"""Figures and data of the page Monitor."""
