# What a batch's script does on the node around the commands of its tasks. POSIX shell. Where a program has to be
# started, it is first looked whether there is anything to do: each start costs a millisecond. Variables begin with
# an underscore, as those that a workflow declares may have any other name.

task() { # TOKEN LOG: what follows, up to finish, is this task's
    _record=$_records/$1
    [ -d "${2%/*}" ] || mkdir -p "${2%/*}"
    exec >"$2" 2>&1
    _started=$(date +%s)
    cd "$_workdir" || finish 1
    export PBS_O_WORKDIR="$PWD" # qsub may have been started elsewhere
}

_host=$(uname -n)

write_record() { # EXIT_STATUS: whoever finds a record finds a whole one
    _ended=$(date +%s)
    printf 'exit_status=%s\nstarted=%s\nended=%s\nhost=%s\npbs_jobid=%s\n' \
        "$1" "$_started" "$_ended" "$_host" "$PBS_JOBID" >"$_record.part" &&
        mv -f "$_record.part" "$_record" &&
        if [ "$_is_bundle" ]; then : >"$_ended_tasks/${_record##*/}"; fi
}

finish() { # EXIT_STATUS
    write_record "$1"
    exit "$1"
}

refuse_protected() { # OUTPUT...
    for _output; do
        if [ -e "$_output" ] && [ ! -w "$_output" ] && [ ! -L "$_output" ]; then
            printf 'The output %s is write-protected. Remove it, or its write protection, to make it again.\n' \
                "$_output" >&2
            finish 1
        fi
    done
}

remove() { # FILE...
    for _file; do
        if [ -d "$_file" ] && [ ! -L "$_file" ]; then
            rmdir "$_file" 2>/dev/null ||
                printf 'Kept the non-empty folder %s, which is not declared as directory().\n' "$_file" >&2
        elif [ -e "$_file" ] || [ -L "$_file" ]; then
            [ "$_file" = /dev/null ] || rm -f "$_file" || finish 1
        fi
    done
}

remove_folders() { # FOLDER...
    rm -rf "$@" || finish 1
}

make_folders() { # FOLDER...
    for _folder; do
        [ -d "$_folder" ] || mkdir -p "$_folder" || finish 1
    done
}

await() { # INPUT...
    for _input; do
        _waited=0
        until [ -e "$_input" ]; do
            if [ "$_waited" -ge "$_latency_wait" ]; then
                printf 'The input file %s is not there after %s seconds. Raise --latency-wait if it is only late.\n' \
                    "$_input" "$_waited" >&2
                finish 1
            fi
            sleep 1
            ls -a "${_input%/*}" >/dev/null 2>&1
            _waited=$((_waited + 1))
        done
    done
}

use_threads() { # NUMBER: as snakemake/shell.py does
    export OMP_NUM_THREADS="$1" GOTO_NUM_THREADS="$1" OPENBLAS_NUM_THREADS="$1"
    export MKL_NUM_THREADS="$1" VECLIB_MAXIMUM_THREADS="$1" NUMEXPR_NUM_THREADS="$1"
}

use_tmpdir() { # [FOLDER]: without one, what Python's tempfile.gettempdir() would find on the node
    if [ $# -gt 0 ]; then
        _tmpdir=$1
    else
        for _tmpdir in "$TMPDIR" "$TEMP" "$TMP" /tmp /var/tmp /usr/tmp "$PWD"; do
            [ -d "$_tmpdir" ] && [ -w "$_tmpdir" ] && break
        done
    fi
    [ -d "$_tmpdir" ] || mkdir -p -- "$_tmpdir" || finish 1
    export TMPDIR="$_tmpdir" TMP="$_tmpdir" TEMPDIR="$_tmpdir" TEMP="$_tmpdir"
    case $_tmpdir in # a container has some of them anyway, and some --bind would take apart
        "" | /tmp | /tmp/* | /var/tmp | /var/tmp/* | [!/]* | *[:,]*) _bound_tmpdir= ;;
        *) _bound_tmpdir=$_tmpdir ;;
    esac
}

# Bundles. PBS may begin one again, as when its node was lost: what has ended must not run a second time.

_is_bundle=
_failed=0

has_ended() { # TOKEN
    [ -e "$_ended_tasks/$1" ]
}

# Tasks of a bundle that share a container: their commands go to one shell in it, which says how each has ended.

_waiting= # tokens of the tasks that have not run

add() { # TOKEN LOG COMMANDS
    _waiting="${_waiting:+$_waiting }$1"
    eval "_log_$1=\$2 _commands_$1=\$3"
}

run_together() { # CONTAINER SHELL THREADS [TMPDIR]
    [ -z "$_waiting" ] || (run_waiting "$@") || _failed=1
    _waiting=
}

run_waiting() { # as run_together; in another container, if one ends before all have run
    cd "$_workdir" || exit 1
    export PBS_O_WORKDIR="$PWD"
    _container=$1 _shell=$2
    use_threads "$3"
    shift 3
    use_tmpdir "$@"
    while [ -n "$_waiting" ]; do
        eval "_log=\$_log_${_waiting%% *}"
        _left=$(
            {
                for _token in $_waiting; do eval "printf '%s\\n' \"\$_commands_$_token\""; done |
                    "$_container" "$_shell" -s 2>>"$_log"
                echo "container $?"
            } | write_records $_waiting
        )
        [ "${_left%% *}" = 0 ] || _failed=1
        _waiting=${_left#* }
    done
    return "$_failed"
}

write_records() { # TOKEN...: reads lines with token and exit status; prints 1 if a task failed, and what is left
    _started=$(date +%s)
    _status=1
    while read -r _token _code; do
        case $_token in
            container) _status=$_code ;;
            "$1")
                write_record_of "$1" "$_code"
                shift
                ;;
        esac
    done
    if [ $# -gt 0 ]; then # the container, not its command, has ended this one
        [ "$_status" -ne 0 ] || _status=1
        write_record_of "$1" "$_status"
        shift
    fi
    echo "$_failed $*"
}

write_record_of() { # TOKEN EXIT_STATUS
    _record=$_records/$1
    write_record "$2"
    _started=$_ended
    [ "$2" -eq 0 ] || _failed=1
}
