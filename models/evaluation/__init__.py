"""How good a network is, and what its layers make of images."""
