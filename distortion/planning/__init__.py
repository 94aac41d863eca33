"""Planning studies: seeds and test images for an effect, and the effect that a design can see."""
