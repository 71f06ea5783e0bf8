"""The edge as a device runs it: whole numbers in a form that every engine computes alike."""
