"""Comparisons: prompts on models over inputs, scored, judged, picked."""
