#!/usr/bin/env bash
# One virtual environment, installed from a frozen list and rebuilt only when that list or the metadata change.
#   environment.sh FOLDER CONSTRAINTS [REQUIREMENT...]
# Without requirements it installs this project (editable) with its development tools.
set -euo pipefail

folder=$1 constraints=$2
shift 2
state=$(cat "$constraints" pyproject.toml setup.py <(echo "$PWD" "$@") | sha256sum | cut -d ' ' -f 1)
stamp="$folder/.installed"
if [ "$(cat "$stamp" 2>/dev/null)" = "$state" ]; then
    exit 0
fi

python=$(make/checks.sh)
echo "Setting up $folder with $python (.venv is about 6 GB: a minute or two on a fast line)"
SECONDS=0
rm -rf "$folder"
"$python" -m venv "$folder"
pip=("$folder/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints")
"${pip[@]}" uv
if [ $# -eq 0 ]; then
    "${pip[@]}" setuptools  # the pinned one builds the project: no build isolation, nothing unpinned
    set -- --no-build-isolation --editable '.[dev]'
fi

# uv takes a minute where pip takes three, but knows nothing of pip's own settings (an internal index, say): then pip it is.
if ! VIRTUAL_ENV="$PWD/$folder" "$folder/bin/uv" pip install --quiet -c "$constraints" "$@"; then
    echo "uv could not install the environment; trying pip, which reads its own settings (slower)" >&2
    "${pip[@]}" "$@"
fi
echo "$state" >"$stamp"
echo "$folder is ready after $SECONDS seconds"
