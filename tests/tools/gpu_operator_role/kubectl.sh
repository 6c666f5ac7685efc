#!/bin/sh
# Answers with the files beside it, and writes down how it was called and what it was given.
cd "$(dirname "$0")/../answers" || exit 1
echo "kubectl $*" >> ../calls
case "$* " in
    *" --filename=- "*) given=$(cat); echo "$given" >> ../calls ;;
esac
case "$* " in
    *" get nodes "*)
        cat nodes.json
        [ ! -e nodes-later.json ] || mv nodes-later.json nodes.json ;;
    *" get daemonsets "*) cat daemonsets.json ;;
    *" get daemonset "*) cat validator.json ;;
    *" get clusterpolicies.nvidia.com "*) cat policies.json ;;
    *" get pods "*) cat pods.json ;;
    *" get crd "*) ;;
    *" create "*)
        node=$(echo "$given" | sed 's/.*"metadata.name", "operator": "In", "values": \["\([^"]*\)"\].*/\1/')
        echo "{\"metadata\": {\"name\": \"gpu-test-of-$node\"}}" ;;
    *" get pod gpu-test-of-"*) node=${*##* gpu-test-of-}; cat "pod-${node%% *}.json" ;;
    *" logs gpu-test-of-"*) cat "log-${*##* gpu-test-of-}" ;;
    *" label "*) echo "node labeled" ;;
    *" apply "*) echo "applied" ;;
    *" wait "* | *" delete "*) ;;
    *) echo "the stand-in for kubectl does not know: $*" >&2; exit 1 ;;
esac
