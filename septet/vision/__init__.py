"""Pictures: reading, checking, augmenting and classifying them."""
