"""Numbers and sentences, the same on pages, in commands and in reports."""
