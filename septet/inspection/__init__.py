"""Looking into a network: what each layer costs and what flows through it."""
