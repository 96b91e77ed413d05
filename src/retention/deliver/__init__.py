"""What leaves the folder of a run: a workbook and calendars to work with, a digest to read in a
mail, and the mail and the message to a channel that carry it.
"""
