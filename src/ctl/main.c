/* holdfastctl: asks and commands a running holdfast through its admin socket.
 *
 * Exit status: 0 done, 1 the process has refused, 2 the command line was not understood, 3 nobody has answered. */
#include "ctl/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOCKET_DEFAULT "/run/holdfast/admin.sock"

static const char usage_text[] =
	"Usage: holdfastctl [-s SOCKET] [--json] COMMAND...\n"
	"       holdfastctl help           list the commands\n"
	"       holdfastctl --version\n"
	"\n"
	"The socket is that of `admin: {socket: ...}`: from -s, else HOLDFAST_SOCKET, else " SOCKET_DEFAULT ".\n"
	"Exit status: 0 done, 1 refused, 2 not understood, 3 nobody has answered.  Manual: holdfastctl(1).\n";

static int usage_wrong(const char *what, const char *about)
{
	fprintf(stderr, "holdfastctl: %s%s; try `holdfastctl help`\n", what, about);
	return CTL_USAGE;
}

/* How many of the arguments are the command's words; 0: they are not. */
static int words_match(const char *words, char **args, int count)
{
	int used = 0;

	while (*words != '\0') {
		size_t len = strcspn(words, " ");

		if (used == count || strlen(args[used]) != len || memcmp(args[used], words, len) != 0)
			return 0;
		used++;
		words += len;
		words += *words == ' ';
	}
	return used;
}

static bool takes_option(const struct ctl_command *row, const char *name)
{
	const char *at = row->options;

	while (*at != '\0') {
		size_t len = strcspn(at, " ");

		if (strlen(name) == len && memcmp(at, name, len) == 0)
			return true;
		at += len;
		at += *at == ' ';
	}
	return false;
}

/* Takes "--name=value" out of the arguments; `plain` gets the others.  0, or an exit status. */
static int split_options(struct ctl *c, char **args, int count, char **plain, int *plain_count)
{
	for (int i = 0; i < count; i++) {
		char *equals;

		if (strncmp(args[i], "--", 2) != 0) {
			plain[(*plain_count)++] = args[i];
			continue;
		}
		if (strcmp(args[i], "--json") == 0) {
			c->is_json = true;
			continue;
		}
		if (c->options_count == CTL_OPTIONS_MAX)
			return usage_wrong("too many options", "");
		equals = strchr(args[i], '=');
		if (equals != NULL)
			*equals = '\0';
		c->options[c->options_count++] = (struct ctl_option){ args[i] + 2, equals != NULL ? equals + 1 : "" };
	}
	plain[*plain_count] = NULL;
	return 0;
}

static int run(struct ctl *c, char **plain, int count)
{
	for (const struct ctl_command *row = ctl_commands; row->words != NULL; row++) {
		int used = words_match(row->words, plain, count);

		if (used == 0)
			continue;
		c->args = plain + used;
		c->args_count = count - used;
		if (c->args_count < row->args_min || c->args_count > row->args_max)
			return usage_wrong("it is used as: ", row->usage[0] != '\0' ? row->usage : row->words);
		for (int i = 0; i < c->options_count; i++)
			if (!takes_option(row, c->options[i].name))
				return usage_wrong("there is no option --", c->options[i].name);
		return row->run(c);
	}
	return usage_wrong("there is no command ", plain[0]);
}

int main(int argc, char **argv)
{
	const char *from_env = getenv("HOLDFAST_SOCKET");
	struct ctl c = { .socket = from_env != NULL && from_env[0] != '\0' ? from_env : SOCKET_DEFAULT };
	char **plain = calloc((size_t)argc + 1, sizeof(char *));
	int at = 1, count = 0, status;

	if (plain == NULL)
		return CTL_UNREACHABLE;
	if (argc > 2 && strcmp(argv[1], "-s") == 0) {
		c.socket = argv[2];
		at = 3;
	}
	c.has_colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
	status = split_options(&c, argv + at, argc - at, plain, &count);
	if (status == 0 && c.options_count > 0 && strcmp(c.options[0].name, "version") == 0) {
		printf("holdfastctl " HF_VERSION "\n");
	} else if (status == 0 && (count == 0 || strcmp(plain[0], "-h") == 0 ||
				   (c.options_count > 0 && strcmp(c.options[0].name, "help") == 0))) {
		fputs(usage_text, count == 0 && c.options_count == 0 ? stderr : stdout);
		status = count == 0 && c.options_count == 0 ? CTL_USAGE : CTL_OK;
	} else if (status == 0) {
		status = run(&c, plain, count);
	}
	free(plain);
	if (fflush(stdout) != 0 || ferror(stdout))
		status = status == CTL_OK ? CTL_UNREACHABLE : status;
	return status;
}
