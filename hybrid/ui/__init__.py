"""The dashboard: frame, session, controls, cache and charts, and a folder for each page."""
