"""Many adaptations of one model, with Ray, and their results."""
