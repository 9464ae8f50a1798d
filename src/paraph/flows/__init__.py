"""The conversations: what to ask next and what to make of the reply, never how it travels."""
