"""Forecasts: what a workflow will cost over many runs."""
