"""Networks as tables of named layers, and the modules that they become."""
