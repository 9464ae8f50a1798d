"""From untrusted bytes, a policy and `now` to a verified thing, or to `Unverified` with every reason."""
