"""Reps and care: recommendation, contact, who is in charge, and what goes with leaving."""
