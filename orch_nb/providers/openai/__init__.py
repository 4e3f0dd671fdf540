"""OpenAI's chat interface, its batches, and the servers that speak the same."""
