"""Many adaptations of one model, with Ray, and what came of them."""
