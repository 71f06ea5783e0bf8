"""The page Choose: its query, answers, figures and the report."""
