"""The dashboard's state, controls, figures, cache and shell; pages stand on these."""
