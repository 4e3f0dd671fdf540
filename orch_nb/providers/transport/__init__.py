"""What all providers over HTTP share: connections, event streams, checked JSON, and errors by status."""
