"""Model cards: one page per version, with its plots."""
