# What the doctor's probe job does on a compute node: it prints NAME=VALUE lines, each of which also goes to a file
# in the folder of the doctor. POSIX shell without anything that an old node may lack. Variables begin with _pbs_.

LC_ALL=C
export LC_ALL
_pbs_answers=/dev/null
_pbs_nl='
'
_pbs_told= # what was said before there was a file for it
_pbs_patience=60 # seconds

say() { # NAME VALUE: on one line, whatever the value holds
    _pbs_line=$1=$(printf '%s' "$2" | tr '\n\r\t' '   ')
    printf '%s\n' "$_pbs_line"
    if [ "$_pbs_answers" = /dev/null ]; then
        _pbs_told=$_pbs_told$_pbs_line$_pbs_nl
    else
        printf '%s\n' "$_pbs_line" >>"$_pbs_answers"
    fi
}

now() { date +%s.%N; } # an old date prints the N

nap() { sleep 0.1 2>/dev/null || sleep 1; }

is_late() { [ "$(date +%s)" -ge "$((_pbs_began + _pbs_patience))" ]; }

# The first things, so that an answer comes even if nothing else works

begin() {
    _pbs_began=$(date +%s)
    _pbs_node_path=$PATH
    say host "$(uname -n)"
    say kernel "$(uname -sr)"
    say shell "${SHELL-}"
    say umask "$(umask)"
    say jobid "${PBS_JOBID-}"
    if [ -n "${PBS_NODEFILE-}" ] && [ -r "$PBS_NODEFILE" ]; then say nodefile yes; else say nodefile no; fi
    say tmpdir "${TMPDIR-}"
    _pbs_tmpdir=${TMPDIR:-/tmp}
    if [ -d "$_pbs_tmpdir" ] && [ -w "$_pbs_tmpdir" ]; then say tmpdir_writable yes; else say tmpdir_writable no; fi
    say tmpdir_free "$(df -Pk "$_pbs_tmpdir" 2>/dev/null | awk 'NR == 2 { print $4 }')"
}

# The working directory: seen, written to, and how long a file takes to be seen on the other side

meet() { # WORKDIR FOLDER TOKEN: the folder is the doctor's own, in the working directory; a file there has the token
    _pbs_folder=$2
    _pbs_seen=no
    until [ "$_pbs_seen" = yes ] || is_late; do
        if [ -r "$2/token" ] && [ "$(cat "$2/token")" = "$3" ]; then
            _pbs_seen=yes
        else
            [ -d "$1" ] || break
            nap
            ls -a "$2" >/dev/null 2>&1
        fi
    done
    if [ -d "$1" ]; then say workdir there; else say workdir missing; fi
    say folder "$_pbs_seen"
    [ "$_pbs_seen" = yes ] || return 0
    cd "$1" || say folder "cannot be entered"
    say file_system "$(df -PT "$1" 2>/dev/null | awk 'NR == 2 { print $2 }')"
    if printf '%s' "$_pbs_told" >"$2/answers"; then
        _pbs_answers=$2/answers
        say written yes
        write_to_each_other
    else
        say written no
    fi
}

write_to_each_other() {
    for _pbs_round in 1 2 3; do
        _pbs_sent=$(now)
        echo "$_pbs_sent" >"$_pbs_folder/hello.$_pbs_round"
        until [ -e "$_pbs_folder/reply.$_pbs_round" ]; do
            if is_late; then
                say "round$_pbs_round" "$_pbs_sent"
                return
            fi
            nap
            ls -a "$_pbs_folder" >/dev/null 2>&1
        done
        say "round$_pbs_round" "$_pbs_sent $(now)"
    done
}

# What else there is

look() { # NAME PATH WITNESS: is a folder there, and what it has where it was named
    if [ ! -e "$2" ]; then
        say "$1" missing
    elif [ ! -r "$2" ]; then
        say "$1" closed
    elif [ -n "$3" ] && [ ! -e "$2/$3" ]; then
        say "$1" empty
    else
        say "$1" there
    fi
}

look_for_program() { # NAME PATH
    if [ -x "$2" ]; then say "$1" there; else say "$1" missing; fi
}

about_the_node() {
    say ncpus "$(nproc 2>/dev/null || grep -c '^processor' /proc/cpuinfo)"
    say memory "$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)"
    say limit_v "$(ulimit -v)"
    say limit_d "$(ulimit -d)"
    say cgroup_memory "$(memory_of_cgroup)"
    say user_namespaces "$(cat /proc/sys/user/max_user_namespaces 2>/dev/null)"
    say userns_clone "$(cat /proc/sys/kernel/unprivileged_userns_clone 2>/dev/null)"
    say userns_apparmor "$(cat /proc/sys/kernel/apparmor_restrict_unprivileged_userns 2>/dev/null)"
    if [ ! -e /dev/fuse ]; then
        say fuse missing
    elif [ -r /dev/fuse ] && [ -w /dev/fuse ]; then
        say fuse open
    else
        say fuse closed
    fi
    if [ ! -r /proc/net/route ]; then
        say route unknown
    elif awk '$2 == "00000000" && $8 == "00000000" { found = 1 } END { exit !found }' /proc/net/route; then
        say route yes
    else
        say route no
    fi
}

memory_of_cgroup() { # the least limit of the job's cgroup and those above it, in bytes; both versions of cgroups
    {
        sed -n 's/^[0-9]*:\([^:]*,\)*memory\(,[^:]*\)*:/memory /p; s/^0::/unified /p' /proc/self/cgroup 2>/dev/null
    } | while read -r _pbs_kind _pbs_group; do
        while :; do
            case $_pbs_kind in
                memory) cat "/sys/fs/cgroup/memory$_pbs_group/memory.limit_in_bytes" 2>/dev/null ;;
                unified) cat "/sys/fs/cgroup$_pbs_group/memory.max" 2>/dev/null ;;
            esac
            case $_pbs_group in ?*/*) ;; *) break ;; esac
            _pbs_group=${_pbs_group%/*}
        done
    done | awk '/^[0-9]+$/ && (least == "" || $1 + 0 < least + 0) { least = $1 } END { print least }'
}

# The container runtime, as a task finds it

setup() { # COMMANDS: tried apart first, as a failing `.` ends the shell that it is run in
    command -v module >/dev/null || define_module # as for tasks
    if _pbs_said=$( (eval "$1") 2>&1 >/dev/null </dev/null); then
        say setup 0
        eval "$1" >/dev/null 2>&1 </dev/null
        set +eu
    else
        say setup "$?"
        say setup_said "$(printf '%s' "$_pbs_said" | tail -n 3)"
    fi
}

runtime() { # COMMAND...: the first that is there
    _pbs_runtime=
    for _pbs_command; do
        if has_runtime "$_pbs_command" >/dev/null 2>&1; then
            _pbs_runtime=$(command -v "$_pbs_command")
            break
        fi
    done
    say runtime "$_pbs_runtime"
    [ -n "$_pbs_runtime" ] || return 0
    _pbs_said=$("$_pbs_runtime" --version 2>&1 </dev/null)
    say runtime_status "$?"
    say runtime_said "$(printf '%s' "$_pbs_said" | tail -n 1)"
    _pbs_real=$(readlink -f "$_pbs_runtime" 2>/dev/null)
    _pbs_prefix=${_pbs_real%/bin/*}
    _pbs_setuid=no
    for _pbs_starter in "$_pbs_prefix"/lib*/apptainer/bin/starter-suid "$_pbs_prefix"/lib*/singularity/bin/*-suid \
        "$_pbs_prefix"/lib/*/apptainer/bin/starter-suid "$_pbs_prefix"/lib/*/singularity/bin/*-suid; do
        [ -u "$_pbs_starter" ] && _pbs_setuid=yes
    done
    say setuid "$_pbs_setuid"
}

container_runtime() { "$_pbs_runtime" "$@"; } # what the command below calls it

run_container() { # COMMAND: a piece of shell, which prints a word if all is well
    [ -n "$_pbs_runtime" ] || return 0
    _pbs_said=$(eval "$1" 2>&1 </dev/null)
    say container_status "$?"
    say container_said "$(printf '%s' "$_pbs_said" | tail -n 3)"
}

end() {
    say ended "$(now)"
    [ "$_pbs_answers" != /dev/null ] || exit 1 # so that PBS brings what was printed
    exit 0
}
