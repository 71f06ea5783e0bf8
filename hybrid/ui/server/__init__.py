"""The dashboard's server: how it is started, what it loads first, and who may do what."""
