"""The routing matrix: which model for which task, by the evidence."""
