"""What leaves the folder of a run: a digest to read in a mail, and the mail and the message to a
channel that carry it.
"""
