"""Who acts, with which rights."""
