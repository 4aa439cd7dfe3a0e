# Completion of holdfastctl for bash: commands and options come from the program itself.
_holdfastctl() {
	local word=${COMP_WORDS[COMP_CWORD]} given="" line words options i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s) ((i++)) ;;
		-*) ;;
		*) given+="${COMP_WORDS[i]} " ;;
		esac
	done
	while IFS=$'\t' read -r words options; do
		if [[ $word == -* ]]; then
			[[ "$given" == "$words "* || "$words " == "$given" ]] || continue
			for i in $options; do COMPREPLY+=($(compgen -W "--$i=" -- "$word")); done
		elif [[ "$words " == "$given"* ]]; then
			line=${words#"$given"}
			COMPREPLY+=($(compgen -W "${line%% *}" -- "$word"))
		fi
	done < <(holdfastctl words 2>/dev/null)
}
complete -o nospace -F _holdfastctl holdfastctl
