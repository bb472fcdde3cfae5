"""Recipes, data sets, augmentation, fitting: everything that makes a network."""
