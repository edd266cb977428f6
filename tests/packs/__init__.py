"""Small node packs for tests."""
