"""What changes weights when a model is used: adapters (LoRA and its kin) as pure functions of weights."""
