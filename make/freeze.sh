#!/usr/bin/env bash
# Writes down what .venv really holds, after a deliberate upgrade.
set -euo pipefail
{
    echo "# The one set that is installed and tested together (Python 3.11, Linux x86_64, Java 17). Made by 'make freeze'."
    VIRTUAL_ENV="$PWD/.venv" .venv/bin/uv pip freeze --quiet --exclude-editable | grep -viE '^(pip|interest-model)=='
} >constraints.new
mv constraints.new constraints.txt
