"""Networks over images: whole splits, one image, and live with early exits."""
