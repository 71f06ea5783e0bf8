"""Networks that run: over a split, live, or on a single image."""
