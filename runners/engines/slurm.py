"""SLURM"""
