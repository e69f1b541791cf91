"""The tests; a package, since an installed package may bring a top-level ``tests`` of its own."""
