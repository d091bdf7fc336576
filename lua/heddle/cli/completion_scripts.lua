--- The shells' side of completion: each asks `heddle complete -- WORDS` and gets words with descriptions, or ":files".
local scripts = {}

-- Bash breaks words at colons and equal signs, so what was typed is taken from the line, and of each answer the part is
-- given back that stands behind the last break.
scripts.bash = [==[
_heddle() {
    local line=${COMP_LINE:0:COMP_POINT} words=() cur cut="" other answer
    read -r -a words <<<"$line"
    case $line in *[[:blank:]]) words+=("") ;; esac
    cur=${words[${#words[@]}-1]}
    case $COMP_WORDBREAKS in *:*) case $cur in *:*) cut=${cur%"${cur##*:}"} ;; esac ;; esac
    case $COMP_WORDBREAKS in *=*) case $cur in *=*)
        other=${cur%"${cur##*=}"}
        if [ ${#other} -gt ${#cut} ]; then cut=$other; fi ;; esac ;; esac
    COMPREPLY=()
    while IFS= read -r answer; do
        if [ "$answer" = :files ]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r answer; do COMPREPLY+=("$answer"); done < <(compgen -f -- "${cur##*=}")
            return 0
        fi
        answer=${answer%%$'\t'*}
        COMPREPLY+=("${answer#"$cut"}")
    done < <("$1" complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _heddle heddle
]==]

scripts.zsh = [==[
#compdef heddle
_heddle() {
  local -a answers described
  local answer
  answers=("${(@f)$($words[1] complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "$answers[1]" == ":files" ]]; then
    compset -P '*='
    _files
    return
  fi
  for answer in "${answers[@]}"; do
    [[ -n "$answer" ]] || continue
    described+=("${${answer%%$'\t'*}//:/\\:}${${(M)answer:#*$'\t'*}:+:${answer#*$'\t'}}")
  done
  (( $#described )) && _describe 'heddle' described
}
if [[ "$funcstack[1]" == "_heddle" ]]; then
  _heddle "$@"
else
  compdef _heddle heddle
fi
]==]

scripts.fish = [==[
function __heddle_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l answers ($words[1] complete -- $words[2..-1] 2>/dev/null)
    if test "$answers[1]" = ":files"
        __fish_complete_path (commandline -ct)
    else
        string join \n -- $answers
    end
end
complete -c heddle -f -a '(__heddle_complete)'
]==]

return scripts
