"""Resampling of networks and of test images: arrays in, arrays out."""
