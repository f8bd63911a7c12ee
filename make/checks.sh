#!/usr/bin/env bash
# What the machine must have before anything is installed. Prints the chosen Python on the last line of stdout;
# ends with code 6 and a message that says what to do where something is missing.
set -euo pipefail

lacking() { # lacking WHAT REMEDY
    printf 'error: %s\n  remedy: %s\n' "$1" "$2" >&2
    exit 6
}

find_python() {
    local name path
    for name in ${PYTHON:-python3.11 python3.12 python3}; do
        while read -r path; do
            [[ $path == "$PWD"/.venv* ]] && continue  # this is what may be about to be rebuilt
            if "$path" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
                echo "$path"
                return
            fi
        done < <(type -aP "$name" || true)
    done
    lacking "no Python 3.11 or 3.12 found (looked for: ${PYTHON:-python3.11 python3.12 python3})" \
        "install it (Debian: apt-get install python3.11 python3.11-venv) or name one: make PYTHON=/path/to/python3.11"
}

check_venv() { # check_venv PYTHON
    local version
    "$1" -c 'import venv, ensurepip' 2>/dev/null && return
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    lacking "$1 has no working venv module" "install it (Debian: apt-get install python$version-venv)"
}

check_java() {
    local java=java found major
    if [ -n "${JAVA_HOME:-}" ]; then
        java="$JAVA_HOME/bin/java"
        [ -x "$java" ] || lacking "JAVA_HOME is $JAVA_HOME, which holds no bin/java" \
            "set JAVA_HOME to a Java 17 or 21, or unset it to use the java on PATH"
    fi
    found=$("$java" -version 2>&1) || lacking "Java is missing: Spark needs Java 17 or 21" \
        "install it (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"
    major=$(sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' <<<"$found" | head -n 1)
    if [ "${major:-0}" -lt 17 ] || [ "$major" -gt 23 ]; then
        lacking "$java is version ${major:-unknown}: Spark 4.0 needs Java 17 or 21 (up to 23)" \
            "install Java 17 (Debian: apt-get install openjdk-17-jre-headless) and set JAVA_HOME to it"
    fi
}

check_disk() { # check_disk NEEDED_GB
    local free
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free" -ge "$1" ] || lacking "$free GB free in $PWD, $1 GB needed (the environment alone is about 6 GB)" \
        "free some space or move the checkout to a larger disk"
}

python=$(find_python)
check_venv "$python"
[ "${NEEDS_JAVA:-yes}" = no ] || check_java
check_disk "${NEEDS_GB:-8}"
echo "$python"
