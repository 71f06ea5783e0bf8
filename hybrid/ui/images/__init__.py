"""Images on pages: which ones, in what frame, and in a grid with captions."""
