"""One model adapted at many cuts, exits, bit widths and seeds with Ray; a table of the results."""
