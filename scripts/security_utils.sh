# shellcheck shell=sh
# Secrets for shell scripts, over ./nasos secret.   Source it:  . scripts/security_utils.sh
#
#   printf %s "$value" | store_secret KEY     store a value (at a terminal: a hidden prompt)
#   value=$(get_secret KEY)                   its value
#   list_secrets                              all names, versions and descriptions
#   delete_secret KEY                         delete it ("./nasos secret restore app/KEY" brings it back)
#
# Keys are those of VaultClient (nasos/app/KEY). Sourcing changes no shell option and never exits; each function
# returns nasos' exit code: 0 done, 2 usage, 3 could not. Works in dash and bash. In a shell that cannot say where
# this file is (dash), call from the checkout, or set NASOS_PROJECT to it, or have nasos on PATH.

# Found while sourcing: later the shell may stand elsewhere.
_nasos_checkout=
# shellcheck disable=SC3028  # only bash has BASH_SOURCE; elsewhere it is empty
if [ -n "${BASH_SOURCE:-}" ]; then
    _nasos_checkout=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE}")/.." 2>/dev/null && pwd) || _nasos_checkout=
fi

_nasos_command() {
    for _nasos_place in "${NASOS_PROJECT:-}" "$_nasos_checkout" . ..; do
        if [ -n "$_nasos_place" ] && [ -x "$_nasos_place/nasos" ] && [ -f "$_nasos_place/scripts/security_utils.sh" ]; then
            "$_nasos_place/nasos" "$@"
            return
        fi
    done
    if command -v nasos >/dev/null 2>&1; then
        command nasos "$@"
        return
    fi
    echo 'nasos: error: the nasos command was not found' >&2
    echo 'nasos: hint: set NASOS_PROJECT to the checkout' >&2
    return 3
}

_nasos_one_key() {
    if [ "$2" -eq 1 ]; then
        return 0
    fi
    echo "nasos: error: $1 takes one argument, the key; a value is read from stdin" >&2
    echo "nasos: hint: printf %s \"\$value\" | store_secret KEY" >&2
    return 2
}

store_secret() {
    _nasos_one_key store_secret "$#" || return
    _nasos_command secret set -- "app/$1"
}

get_secret() {
    _nasos_one_key get_secret "$#" || return
    _nasos_command secret get --reveal -- "app/$1"
}

list_secrets() {
    _nasos_command secret list app
}

delete_secret() {
    _nasos_one_key delete_secret "$#" || return
    _nasos_command secret rm -- "app/$1"
}
