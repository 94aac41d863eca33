"""Estimators of the slope that repair what noise does to the plain one, side by side."""
