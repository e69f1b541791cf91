"""Content-addressed files and the codecs that make their bytes."""
