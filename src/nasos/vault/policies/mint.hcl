
# New SecretIDs for <role>, and the end of the old ones. Role by role, because a pattern would take in
# nasos-operator, and its SecretID is a ladder to everything.
path "auth/approle/role/<role>/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/<role>/secret-id" {
  capabilities = ["update", "list"]
}
path "auth/approle/role/<role>/secret-id/lookup" {
  capabilities = ["update"]
}
path "auth/approle/role/<role>/secret-id/destroy" {
  capabilities = ["update"]
}
path "auth/approle/role/<role>/secret-id-accessor/lookup" {
  capabilities = ["update"]
}
path "auth/approle/role/<role>/secret-id-accessor/destroy" {
  capabilities = ["update"]
}
