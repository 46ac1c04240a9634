#!/bin/sh
# Installs the reference engine from npm: setup.sh FOLDER VERSION [NPM…]
# FOLDER must lie outside of the repository. The install scripts of its packages do not run.
set -eu
folder=$1
version=$2
shift 2
[ $# -gt 0 ] || set -- npm
package=$folder/node_modules/pinokiod/package.json
stamp=$folder/.complete-$version
if [ -f "$stamp" ] && [ -f "$package" ]; then
  exit 0
fi
mkdir -p "$folder"
cd "$folder"
printf '{"name": "pinokiocloud-bench-reference", "private": true, "version": "0.0.0"}\n' > package.json
"$@" install "pinokiod@$version" --save-exact --ignore-scripts --no-audit --no-fund --loglevel=error
touch "$stamp"
