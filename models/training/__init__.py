"""A network in training: steps, the loop around them, the run folder, checkpoints."""
