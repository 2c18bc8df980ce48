#!/bin/sh
# Rotates secrets. Same as: ./nasos rotate [options]
# Exit codes: 0 done, 1 something needs attention, 2 usage, 3 could not.
set -eu

usage() {
    cat <<'END'
Usage: rotate_secrets.sh [--all | --db | --jwt | --api]... [--dry-run | --now | --leaked] [--progress]
       rotate_secrets.sh --rollback NAME [--dry-run]

  --all            everything below
  --db             the bot's database password
  --jwt            the secret that signs the bot's logins
  --api            which exchange API keys should be replaced
  --dry-run        show what would be done, change nothing
  --now            the bot takes it up at once, also inside an order
  --leaked         as --now; the old values are destroyed, with every one before them
  --progress       say each step on standard error, also where that is no terminal
  --rollback NAME  bring the version before of NAME back
  --help           this text
END
}

refuse() {
    echo "rotate_secrets.sh: error: $1" >&2
    echo 'rotate_secrets.sh: hint: rotate_secrets.sh --help' >&2
    exit 2
}

here=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
[ $# -gt 0 ] || refuse 'nothing to rotate was named'
expected=''
for argument in "$@"; do
    if [ -n "$expected" ]; then
        case $argument in
        '' | -*) refuse "$expected needs a name" ;;
        esac
        expected=''
        continue
    fi
    case $argument in
    --all | --db | --jwt | --api | --dry-run | --now | --leaked | --progress) ;;
    --rollback) expected=--rollback ;;
    --rollback=?*) ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) refuse "unknown option $argument" ;;
    esac
done
[ -z "$expected" ] || refuse "$expected needs a name"
exec "$here/nasos" rotate "$@"
