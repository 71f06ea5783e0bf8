"""Figures: data in, plotly figure out; nothing here knows a widget or a page."""
