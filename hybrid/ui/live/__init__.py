"""The page Live run: its job, words and figure."""
