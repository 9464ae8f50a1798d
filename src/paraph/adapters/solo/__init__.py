"""The solo engine: one process decides blocks. No agreement protocol, and no pretence of one."""
