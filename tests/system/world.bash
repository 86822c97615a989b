# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# world.bash - what can be said inside a world: who runs a command, where, and for how long.
# Used by `world` itself, by the system tests (through lib.bash) and by ./run.

# Nobody knows this user on a real machine either: nothing may depend on a passwd entry.
if [ "$(id -u)" = 0 ]; then
    : "${WORLD_UID:=4000}"
else
    WORLD_UID=$(id -u)
fi
export WORLD_UID

in_world() {
    [ -n "${WORLD:-}" ] && [ -d "${WORLD:-}/guests" ]
}

user_home() { # [UID]
    echo "$WORLD/home/${1:-$WORLD_UID}"
}

make_user() { # UID -> home and runtime directory, as a login would make them
    local home
    home=$(user_home "$1")
    mkdir -p "$home" "/run/user/$1"
    chmod 700 "$home" "/run/user/$1"
    [ "$(id -u)" != 0 ] || chown "$1:$1" "$home" "/run/user/$1"
}

# The ordinary user's shoes: no capability, no environment but a login's.
user_shoes() { # COMMAND... -> replaces this (sub)shell
    local drop=(--inh-caps=-all) groups=--clear-groups home
    home=$(user_home)
    ! getent passwd "$WORLD_UID" >/dev/null || groups=--init-groups
    if [ "$(id -u)" = 0 ]; then
        drop+=(--reuid "$WORLD_UID" --regid "$WORLD_UID" "$groups")
    else
        drop+=(--ambient-caps=-all)
    fi
    cd "$home" || return
    exec setpriv "${drop[@]}" -- env -i HOME="$home" LANG=C.UTF-8 \
        PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin \
        XDG_RUNTIME_DIR="/run/user/$WORLD_UID" XDG_STATE_HOME="$home/.local/state" \
        GUEST_DIR="$WORLD/guests" GUEST_IMAGE="$WORLD/image" \
        ${VMNET_BROKER_PROGRAM:+"VMNET_BROKER_PROGRAM=$VMNET_BROKER_PROGRAM"} \
        ${ASAN_OPTIONS:+"ASAN_OPTIONS=$ASAN_OPTIONS"} \
        ${UBSAN_OPTIONS:+"UBSAN_OPTIONS=$UBSAN_OPTIONS"} "$@"
}

as_user() { # COMMAND... -> never for ever: $WITHIN seconds, 20 by default
    (user_shoes timeout --kill-after=5 "${WITHIN:-20}" "$@")
}

# In the background, with no time limit of its own: it ends with the world at the latest.
# Descriptors above 2 are closed, for bats waits for whoever holds its own.
as_user_in_background() { # LOGNAME COMMAND... -> its pid in $!
    local log=$WORLD/log/$1
    shift
    (user_shoes "$@") >"$log" 2>&1 </dev/null 3>&- 4>&- 5>&- &
}

on_internet() { # COMMAND... -> on the other side of the host's only cable
    nsenter --net=/run/netns/internet -- "$@"
}

use_resolver() { # ADDRESS -> what the host's /etc/resolv.conf says
    echo "nameserver $1" >"$WORLD/resolv.conf"
}

# Where /etc/resolv.conf leads, which is often into /run.
mount_resolver_file() {
    local real
    real=$(realpath -m /etc/resolv.conf)
    [ -e "$real" ] || { mkdir -p "${real%/*}" && : >"$real"; }
    mount --bind "$WORLD/resolv.conf" "$real"
}

private_files() { # /etc as it is, and /var/lib empty
    local etc=$WORLD/etc
    mkdir -p "$etc"/{changed,work}
    mount -t overlay -o "lowerdir=/etc,upperdir=$etc/changed,workdir=$etc/work" world /etc
    mount_resolver_file
    mount -t tmpfs -o mode=0755 world /var/lib
}
