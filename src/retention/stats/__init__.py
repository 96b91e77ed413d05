"""Statistics that know no agency: curves, hazards, funnels, correlations, and how far each may be
off.
"""
