"""The study's claims, each with its estimator, and the rule by which they are judged."""
