# Completion of tidemark for bash. The program itself knows what may follow: its commands and options, and the names of
# jobs and nodes in the configuration.
_tidemark() {
  local current=${COMP_WORDS[COMP_CWORD]} line word
  [[ $current == "=" ]] && current=
  COMPREPLY=()
  while IFS= read -r line; do
    word=${line%%$'\t'*}
    if [[ $word == :files ]]; then
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
    else
      COMPREPLY+=("$(printf '%q' "$word")")
    fi
  done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _tidemark tidemark
