"""Working fakes, one for each port; each passes the same tests as the real adapter."""
