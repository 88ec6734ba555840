"""Tables: reading, checking and learning from rows and columns."""
