"""The page Networks: cards, structure, training and baselines as tables and figures."""
