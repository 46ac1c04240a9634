#!/bin/sh
# Stands in for micromamba on machines that cannot fetch it: makes environments, prints what it was asked for.
case "$1" in
  create)
    shift
    while [ $# -gt 0 ]; do
      case "$1" in
        -p) prefix=$2; shift ;;
        -n) prefix=$MAMBA_ROOT_PREFIX/envs/$2; shift ;;
      esac
      shift
    done
    mkdir -p "$prefix/bin" "$prefix/conda-meta" && ln -sf "$(readlink -f "$MAMBA_ROOT_PREFIX/bin/python")" "$prefix/bin/python" &&
      echo "oracle-conda: created $prefix" ;;
  *) printf 'oracle-conda: %s\n' "$1 $2 $3" ;;
esac
