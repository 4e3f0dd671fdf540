"""What a person types: conditions, templates, types, cells, lines and quantities, read with the place of every mistake."""
