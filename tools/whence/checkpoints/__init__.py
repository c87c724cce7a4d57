"""PyTorch checkpoints as run folders of Whence."""
