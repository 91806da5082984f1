"""What one does with layers: their own colours, picking what is meant, editing, and files that editors open."""
