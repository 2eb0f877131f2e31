"""Images on their way into a network: where they come from, and what is done to them."""
