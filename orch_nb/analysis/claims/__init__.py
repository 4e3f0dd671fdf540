"""Claims: stated figures, recomputed."""
