"""Drawings as SVG text: pure, coloured by classes of the style sheet only."""
