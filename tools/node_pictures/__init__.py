"""Makes the example pictures of the node reference, by running the nodes."""
