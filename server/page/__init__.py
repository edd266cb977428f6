"""The page at `/`, for people who run workflows rather than wire them, and what it asks of the server."""
