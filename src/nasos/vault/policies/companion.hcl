# The Cloudflare companion: reads its API tokens.
path "kv/data/nasos/cloudflare/*" {
  capabilities = ["read"]
}
path "kv/metadata/nasos/cloudflare/*" {
  capabilities = ["read", "list"]
}
