#!/bin/sh
# __guard [--uid N --gid N] [--remove DIR] -- CMD…: what `rosterd __guard` does, for tests that are built without that
# binary. Runs CMD and says its pid. Kills it and removes DIR when standard input closes: when the tests are gone.
# Only root gives a uid; for that it needs setpriv, of util-linux.
shift
while [ "$1" != -- ]; do
  case "$1" in
    --uid) uid=$2 ;;
    --gid) gid=$2 ;;
    --remove) folder=$2 ;;
  esac
  shift 2
done
shift
[ -z "$uid" ] || set -- setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$@"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
(cat <&3 >/dev/null; kill -TERM $$) &
watcher=$!
trap 'abandoned=yes; kill -9 "$child"' TERM
echo "rosterd-guard pid $child"
wait "$child"
code=$?
if [ -z "$abandoned" ]; then
  kill "$watcher"
  exit "$code"
fi
wait "$child"
# Processes of the child that end a moment after it may still write.
for _ in 1 2 3 4 5; do
  rm -rf "$folder" && exit "$code"
  sleep 1
done
