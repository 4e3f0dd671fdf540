"""Which model answers, and what it costs: offers, prices, the notebook's names for models, ways to choose."""
