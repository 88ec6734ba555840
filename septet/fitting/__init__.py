"""Any Keras model on the compiled engine: what `keras.Model.fit` does, in chunks on the device."""
