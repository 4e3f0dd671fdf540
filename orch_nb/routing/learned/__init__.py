"""The choice of a model that is learned from logged outcomes, and its proposal to a person."""
