# The backup: takes the snapshot, which is encrypted by the server; reads no secret and changes nothing.
path "sys/storage/raft/snapshot" {
  capabilities = ["read"]
}
