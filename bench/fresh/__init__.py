"""How soon every worker knows: real processes, one clock, a writer that takes and gives rights."""
