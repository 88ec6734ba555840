"""Which class every pixel belongs to: masks read, checked, learned, scored and drawn."""
