"""Models that run in this process: a small language model and embeddings, and how their files are installed."""
