"""What a slope would be anyway: the accuracy-matched null, and methods compared like with like."""
