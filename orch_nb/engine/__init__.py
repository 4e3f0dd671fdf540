"""What happens: plans are folded over events, and driven. No I/O except in `drive`; imports no networkx, no adapter."""
