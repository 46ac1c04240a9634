#!/bin/bash
# Stands in for conda in the reference's home: no packages, no network, only what its activation line asks for:
#   eval "$(conda shell.bash hook)" ; conda deactivate ; … ; conda activate base && COMMAND
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [ "$1" = shell.bash ] || [ "$1" = shell.posix ]; then
  printf '__bench_conda_root=%q\n' "$root"
  cat <<'FUNCTIONS'
conda() {
  local name=$2 prefix
  if [ "$1" = deactivate ]; then
    if [ -n "$__bench_conda_path" ]; then PATH=$__bench_conda_path; fi
    unset CONDA_PREFIX CONDA_DEFAULT_ENV __bench_conda_path
    export CONDA_SHLVL=0
  elif [ "$1" = activate ]; then
    case ${name:=base} in
      base) prefix=$__bench_conda_root ;;
      */*) prefix=$name ;;
      *) prefix=$__bench_conda_root/envs/$name ;;
    esac
    __bench_conda_path=$PATH
    export PATH=$prefix/bin:$PATH CONDA_PREFIX=$prefix CONDA_DEFAULT_ENV=$name CONDA_SHLVL=1
  else
    command conda "$@"
  fi
}
FUNCTIONS
elif [ "$1" = --version ]; then
  echo "conda 0.0 (bench stand-in)"
fi
