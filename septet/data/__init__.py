"""Sources, splitting, accounting and sample data: arrays and files, no models."""
