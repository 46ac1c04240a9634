"""Shells: terminals, activation, events in output, and their end."""
