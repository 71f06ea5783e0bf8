"""The page Your data: images on their way to a split, and saved splits."""
