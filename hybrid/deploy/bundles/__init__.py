"""Bundles: what a device and a cloud need for one operating point, in one folder."""
