"""The page Your data: making a split from images, and saved splits."""
