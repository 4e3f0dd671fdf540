"""What an agent may call, and what a graph may run: tools and function nodes."""
