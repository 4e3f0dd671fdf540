"""What the user draws: the notation, the builder over networkx, the checks, and `compile` to a frozen plan."""
