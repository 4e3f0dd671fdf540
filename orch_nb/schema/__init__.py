"""Data that is stored or sent: events, messages, money, names and values. Imports nothing above `errors`."""
