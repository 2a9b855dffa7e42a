#!/bin/bash
# kubectl of a desk without a cluster: words, and the object of `create`, go to tests/unit/kubectl/fake_cluster.py on
# port $FAKE_CLUSTER. Of each line that comes, the first letter says what it is: 1 stdout, 2 stderr, x the exit code.
# It is Bash, because it starts a thousand times, and in a tenth of the time of Python.
exec 3<>"/dev/tcp/127.0.0.1/$FAKE_CLUSTER" || exit 1
object=""
[[ " $* " != *" -f - "* ]] || IFS= read -r object
printf '%s\n' "$#" "$@" "$object" >&3
while IFS= read -r line <&3; do
    case $line in
    1*) printf '%s\n' "${line:1}" ;;
    2*) printf '%s\n' "${line:1}" >&2 ;;
    x*) exit "${line:1}" ;;
    esac
done
exit 1
