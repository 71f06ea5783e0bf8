"""Servers of others, run by tests in environments of their own. Nothing here imports `hybrid`."""
