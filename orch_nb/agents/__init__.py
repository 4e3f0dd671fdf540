"""Agents: their definition, the pure conversation that runs them, the fingerprints that say when they changed."""
