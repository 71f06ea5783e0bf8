"""The page Try an image: its figures."""
