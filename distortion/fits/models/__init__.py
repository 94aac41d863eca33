"""What stands behind a `Fit` of a mixed model: tidy results, predictions, intervals, refits."""
