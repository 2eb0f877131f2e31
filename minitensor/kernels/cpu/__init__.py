"""The fast NumPy kernels. What is not here yet falls back to `minitensor.kernels.reference`."""
