#!/usr/bin/env bash
# Generates src/cri/gen/*.ts from proto/*.proto.
#
# A development step: its results are committed, so that building and installing need neither protoc
# nor ts-proto. Needs protoc (Debian: protobuf-compiler) and the devDependencies.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v protoc >/dev/null || {
  echo "generate-proto: protoc is missing (apt-get install protobuf-compiler)" >&2
  exit 1
}
mkdir -p src/cri/gen

# bigint keeps 64-bit nanoseconds and sizes exact. The JSON methods and the comments would double
# the file and are used nowhere.
options=(
  env=node
  esModuleInterop=true
  forceLong=bigint
  outputServices=grpc-js
  useOptionals=none
  outputJsonMethods=false
  comments=false
  importSuffix=.ts
)
protoc \
  --plugin=node_modules/.bin/protoc-gen-ts_proto \
  --ts_proto_out=src/cri/gen \
  --ts_proto_opt="$(IFS=,; echo "${options[*]}")" \
  --proto_path=proto cri.proto coracle.proto

# The generated bodies pass Buffers where older @types/node declarations and a newer compiler's
# Uint8Array disagree. Its users are still checked against the types that it exports.
#
# Keys of maps are the clients': assigned to, "__proto__" would be lost, and a filter for it match all.
put='Object.defineProperty(\1, \2, { value: \3, enumerable: true, writable: true, configurable: true });'
for generated in src/cri/gen/cri.ts src/cri/gen/coracle.ts; do
  {
    echo '// @ts-nocheck'
    sed -E \
      -e "s/(message\.\w+)\[(entry[0-9]+\.key)\] = (entry[0-9]+\.value);/$put/" \
      -e "s/(acc)\[(key)\] = (globalThis\.String\(value\));/$put/" \
      "$generated"
  } >"$generated.tmp"
  mv "$generated.tmp" "$generated"
done
