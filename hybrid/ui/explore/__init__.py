"""The page Explore: its data, figures, tables and the follower in the browser."""
