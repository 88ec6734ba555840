"""State, program, feeds, loop, lowering: knows no field and no file format."""
