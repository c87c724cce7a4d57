"""Pages, tables and figures of what run folders hold."""
