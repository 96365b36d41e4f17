# What a batch's script does on the node around the commands of its tasks. POSIX shell. Where a program has to be
# started, it is first looked whether there is anything to do: each start costs a millisecond. Variables begin with
# _pbs_, as those that a workflow declares may have any other name.

task() { # TOKEN [LOG]: what follows, up to finish, is this task's
    _pbs_record=$_pbs_records/$1
    if [ $# -gt 1 ]; then
        [ -d "${2%/*}" ] || mkdir -p "${2%/*}"
        exec >"$2" 2>&1
    fi
    _pbs_started=$(date +%s)
    [ "$_pbs_setup_status" -eq 0 ] || tell_setup
    cd "$_pbs_workdir" || finish 1
    export PBS_O_WORKDIR="$PWD" # qsub may have been started elsewhere
}

# What the site wants done on the node before anything runs, such as `module load`.

_pbs_setup_status=0

set_up_node() { # COMMANDS
    _pbs_setup=$1
    command -v module >/dev/null || define_module
    trap 'setup_ended "$?"' EXIT # sh ends where `.` finds no file
    eval "$1" </dev/null
    _pbs_setup_status=$?
    set +eu
    trap - EXIT
}

setup_ended() { # EXIT_STATUS: it has ended this shell; the tasks fail, each with its record
    set +eu
    trap - EXIT
    _pbs_setup_status=$1
    [ "$1" -ne 0 ] || _pbs_setup_status=1
    eval "$_pbs_bundle"
    exit "$_pbs_failed"
}

tell_setup() { # its commands run once more, for what they say
    (eval "$_pbs_setup") </dev/null
    printf 'The commands of --pbs-singularity-node-setup failed with exit status %s on the node %s: %s\n' \
        "$_pbs_setup_status" "$_pbs_host" "$_pbs_setup" >&2
    finish 1
}

define_module() { # for login shells every site defines it; sh has to be told where it is
    module() {
        unset -f module
        for _pbs_file in "$MODULESHOME/init/sh" /etc/profile.d/modules.sh /etc/profile.d/lmod.sh \
            /etc/profile.d/z00_lmod.sh /usr/share/modules/init/sh /usr/share/Modules/init/sh \
            /usr/share/lmod/lmod/init/sh; do
            if [ -r "$_pbs_file" ]; then
                . "$_pbs_file"
                command -v module >/dev/null && break
            fi
        done
        module "$@"
    }
}

has_runtime() { # COMMAND: by the PATH of the workflow, else by the one that the node itself has
    command -v "$1" >/dev/null && return
    PATH=$PATH:$_pbs_node_path
    command -v "$1" >/dev/null && return
    printf 'The container command %s is not on the node %s.\n' "$1" "$_pbs_host" >&2
    return 127
}

_pbs_host=$(uname -n)

write_record() { # EXIT_STATUS: whoever finds a record finds a whole one. A disk that is full may have room again
    _pbs_ended=$(date +%s)
    _pbs_tries=30
    until write_whole_record "$1" || [ "$_pbs_tries" -eq 0 ]; do
        _pbs_tries=$((_pbs_tries - 1))
        sleep 2
    done
}

write_whole_record() { # EXIT_STATUS
    printf 'exit_status=%s\nstarted=%s\nended=%s\nhost=%s\npbs_jobid=%s\n' \
        "$1" "$_pbs_started" "$_pbs_ended" "$_pbs_host" "$PBS_JOBID" >"$_pbs_record.part" &&
        mv -f "$_pbs_record.part" "$_pbs_record"
}

finish() { # EXIT_STATUS
    write_record "$1"
    exit "$1"
}

refuse_protected() { # OUTPUT...
    for _pbs_output; do
        if [ -e "$_pbs_output" ] && [ ! -w "$_pbs_output" ] && [ ! -L "$_pbs_output" ]; then
            printf 'The output %s is write-protected. Remove it, or its write protection, to make it again.\n' \
                "$_pbs_output" >&2
            finish 1
        fi
    done
}

remove() { # FILE...
    for _pbs_file; do
        if [ -d "$_pbs_file" ] && [ ! -L "$_pbs_file" ]; then
            rmdir "$_pbs_file" 2>/dev/null ||
                printf 'Kept the non-empty folder %s, which is not declared as directory().\n' "$_pbs_file" >&2
        elif [ -e "$_pbs_file" ] || [ -L "$_pbs_file" ]; then
            [ "$_pbs_file" = /dev/null ] || rm -f "$_pbs_file" || finish 1
        fi
    done
}

remove_folders() { # FOLDER...
    rm -rf "$@" || finish 1
}

make_folders() { # FOLDER...
    for _pbs_folder; do
        [ -d "$_pbs_folder" ] || mkdir -p "$_pbs_folder" || finish 1
    done
}

await() { # INPUT...
    for _pbs_input; do
        _pbs_waited=0
        until [ -e "$_pbs_input" ]; do
            if [ "$_pbs_waited" -ge "$_pbs_latency_wait" ]; then
                printf 'The input file %s is not there after %s seconds. Raise --latency-wait if it is only late.\n' \
                    "$_pbs_input" "$_pbs_waited" >&2
                finish 1
            fi
            sleep 1
            ls -a "$(dirname "$_pbs_input")" >/dev/null 2>&1
            _pbs_waited=$((_pbs_waited + 1))
        done
    done
}

use_threads() { # NUMBER: as snakemake/shell.py does
    export OMP_NUM_THREADS="$1" GOTO_NUM_THREADS="$1" OPENBLAS_NUM_THREADS="$1"
    export MKL_NUM_THREADS="$1" VECLIB_MAXIMUM_THREADS="$1" NUMEXPR_NUM_THREADS="$1"
}

use_tmpdir() { # [FOLDER]: without one, what Python's tempfile.gettempdir() would find on the node
    if [ $# -gt 0 ]; then
        _pbs_tmpdir=$1
    else
        for _pbs_tmpdir in "$TMPDIR" "$TEMP" "$TMP" /tmp /var/tmp /usr/tmp "$PWD"; do
            [ -d "$_pbs_tmpdir" ] && [ -w "$_pbs_tmpdir" ] && break
        done
    fi
    [ -d "$_pbs_tmpdir" ] || mkdir -p -- "$_pbs_tmpdir" || finish 1
    export TMPDIR="$_pbs_tmpdir" TMP="$_pbs_tmpdir" TEMPDIR="$_pbs_tmpdir" TEMP="$_pbs_tmpdir"
    case $_pbs_tmpdir in # a container has some of them anyway, and some --bind would take apart
        "" | /tmp | /tmp/* | /var/tmp | /var/tmp/* | [!/]* | *[:,]*) _pbs_bound_tmpdir= ;;
        *) _pbs_bound_tmpdir=$_pbs_tmpdir ;;
    esac
}

# PBS may begin a job again, as when its node was lost: what has ended must not run a second time.

has_ended() { # TOKEN: its record is there, or where read ones are put
    [ -e "$_pbs_records/$1" ] || [ -e "$_pbs_ended_tasks/$1" ]
}

_pbs_failed=0

# Tasks of a bundle that share a container: their commands go to one shell in it, which says how each has ended.

_pbs_waiting= # tokens of the tasks that have not run

add() { # TOKEN LOG COMMANDS
    _pbs_waiting="${_pbs_waiting:+$_pbs_waiting }$1"
    eval "_pbs_log_$1=\$2 _pbs_commands_$1=\$3"
}

run_together() { # CONTAINER SHELL THREADS [TMPDIR]
    [ -z "$_pbs_waiting" ] || (run_waiting "$@") || _pbs_failed=1
    _pbs_waiting=
}

run_waiting() { # as run_together; in another container, if one ends before all have run
    cd "$_pbs_workdir" || exit 1
    export PBS_O_WORKDIR="$PWD"
    _pbs_container=$1 _pbs_shell=$2
    use_threads "$3"
    shift 3
    use_tmpdir "$@"
    while [ -n "$_pbs_waiting" ]; do
        eval "_pbs_log=\$_pbs_log_${_pbs_waiting%% *}"
        _pbs_left=$(
            {
                for _pbs_token in $_pbs_waiting; do eval "printf '%s\\n' \"\$_pbs_commands_$_pbs_token\""; done |
                    "$_pbs_container" "$_pbs_shell" -s 2>>"$_pbs_log"
                echo "container $?"
            } | write_records $_pbs_waiting
        )
        [ "${_pbs_left%% *}" = 0 ] || _pbs_failed=1
        _pbs_waiting=${_pbs_left#* }
    done
    return "$_pbs_failed"
}

write_records() { # TOKEN...: reads lines with token and exit status; prints 1 if a task failed, and what is left
    _pbs_started=$(date +%s)
    _pbs_status=1
    while read -r _pbs_token _pbs_code; do
        case $_pbs_token in
            container) _pbs_status=$_pbs_code ;;
            *"$1") # after terminal escapes, which Singularity 2 prints for GPUs that are not there
                write_record_of "$1" "$_pbs_code"
                shift
                ;;
        esac
    done
    if [ $# -gt 0 ]; then # the container, not its command, has ended this one
        [ "$_pbs_status" -ne 0 ] || _pbs_status=1
        write_record_of "$1" "$_pbs_status"
        shift
    fi
    echo "$_pbs_failed $*"
}

write_record_of() { # TOKEN EXIT_STATUS
    _pbs_record=$_pbs_records/$1
    write_record "$2"
    _pbs_started=$_pbs_ended
    [ "$2" -eq 0 ] || _pbs_failed=1
}
