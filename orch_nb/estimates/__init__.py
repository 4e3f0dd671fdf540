"""Estimates before a run: its dollars and seconds, from earlier runs and from the sizes of prompts."""
