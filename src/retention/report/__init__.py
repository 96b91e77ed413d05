"""Notebooks and parameters in, a published folder of HTML pages out. Knows nothing of
statistics.
"""
