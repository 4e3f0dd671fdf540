"""Gemini's generateContent interface."""
