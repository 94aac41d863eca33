"""Figures of the report: functions from frames to `Drawing`s; nothing here touches pyplot."""
