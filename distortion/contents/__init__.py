"""What stands in the report and in which order: one file per group of sections."""
