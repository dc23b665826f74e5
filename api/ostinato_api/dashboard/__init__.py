"""The dashboard: pages and their parts, made on the server. See `routes/` for one file a page."""
