"""What the dashboard's pages share: state, controls, figures, cache and frame."""
