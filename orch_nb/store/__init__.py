"""Stores of runs, in memory and in SQLite. Both implement `engine.ports.Store` and pass one contract suite."""
