"""Readings of a run's events: spans, bill, picture. Pure: no I/O, no clock, no markup."""
