"""What every exit said of every sample of a split, and how confident it was."""
