"""What the explorer is made of: what is shown, pictures of it, the process that computes, the page."""
