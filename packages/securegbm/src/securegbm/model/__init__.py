"""The two halves of a model: what each can say alone, the joint LightGBM text, and the reference of lossless mode."""
