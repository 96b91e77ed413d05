"""What an analyst asks in a notebook: a few verbs, each of which takes a study or any frame of
clients and gives back a table, a sentence and a chart.
"""
