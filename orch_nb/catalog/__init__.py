"""What can be asked and what it costs: models, offers, prices, bills, availability and measured abilities."""
