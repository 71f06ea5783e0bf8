"""What a device sends and a cloud receives."""
