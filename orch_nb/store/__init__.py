"""Where runs are kept: one port (`engine.ports.Store`), in memory and in SQLite, held to one contract suite."""
