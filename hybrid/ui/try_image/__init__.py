"""The page Try an image: where images come from, their results and figures."""
