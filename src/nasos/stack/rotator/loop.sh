#!/bin/sh
# loop.sh SECONDS COMMAND...: runs the command, waits, runs it again; until TERM, or until its parent is gone.
# After a run that failed it waits 30 seconds, where SECONDS is more.
# A run that was begun is finished first: it may be in the middle of a rotation.
set -u

seconds=$1
soon=30
[ "${seconds%.*}" -ge "$soon" ] || soon=$seconds
shift
parent=$PPID
ended=''
sleeping=''
trap 'ended=1; [ -z "$sleeping" ] || kill "$sleeping" 2>/dev/null' TERM INT

while [ -z "$ended" ]; do
    "$@" &
    pause=$seconds
    wait "$!" || pause=$soon
    while kill -0 "$!" 2>/dev/null; do
        wait "$!" || :
    done
    read -r stat <"/proc/$$/stat"
    stat=${stat##*) ? }
    [ -z "$ended" ] && [ "${stat%% *}" = "$parent" ] || exit 0
    sleep "$pause" &
    sleeping=$!
    wait "$sleeping" || :
    sleeping=''
done
