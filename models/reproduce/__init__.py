"""Claims of AlexNet's paper and of its heirs': `python -m models reproduce NAME` tests them."""
