# A person who looks: which secrets there are, how old, and that the server is set up; no value, nothing written.
path "kv/metadata/nasos/*" {
  capabilities = ["read", "list"]
}
# The names of a secret's fields, without their values.
path "kv/subkeys/nasos/*" {
  capabilities = ["read"]
}
path "kv/data/nasos/_meta/bootstrap" {
  capabilities = ["read"]
}
