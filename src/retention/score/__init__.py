"""Who will leave next: the model, its validation, and the scores."""
