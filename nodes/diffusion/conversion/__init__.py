"""Model files made into other model files: pickles into safetensors, folders into single files, and back."""
