"""Switches by what a message wants: similarity, and a classifier that learns from examples."""
