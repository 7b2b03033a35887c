//! Logs in to Vault, renders templates, renews leases, revokes them at the end.
