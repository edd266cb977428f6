"""Where a picture comes from: the record it carries, and the proof that it tells the truth."""
