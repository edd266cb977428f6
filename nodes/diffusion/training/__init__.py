"""Fine-tuning: adapters that learn from pictures and captions, on networks whose weights stay as they are."""
