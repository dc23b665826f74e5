"""What a template shows, made from rows: pure, time comes in as an argument."""
