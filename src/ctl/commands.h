/* The commands of holdfastctl: one row a command.
 *
 * Called by: ctl/main. */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

enum {
	CTL_OK = 0,
	CTL_REFUSED = 1,     /* the process has answered, and the answer is no */
	CTL_USAGE = 2,	     /* the command line was not understood */
	CTL_UNREACHABLE = 3, /* nobody has answered */
};

/* Options behind a command, "--NAME=VALUE". */
struct ctl_option {
	const char *name, *value;
};

#define CTL_OPTIONS_MAX 16

struct ctl {
	const char *socket;
	bool is_json;
	bool has_colour;
	char **args; /* what follows the command's words, ended by NULL */
	int args_count;
	struct ctl_option options[CTL_OPTIONS_MAX];
	int options_count;
};

struct ctl_command {
	const char *words;
	const char *usage; /* what follows them */
	int args_min, args_max;
	const char *options; /* that it takes, with spaces between */
	int (*run)(struct ctl *);
	const char *does;
};

/* Ended by a row without words. */
extern const struct ctl_command ctl_commands[];

/* The value of an option, "" for one without; NULL: it is not given. */
const char *ctl_option(const struct ctl *c, const char *name);

struct json_t;
/* Asks; prints errors to stderr.  CTL_OK and the parsed answer (json_decref), or another status. */
int ctl_ask(const struct ctl *c, const char *method, const char *target, const char *body, struct json_t **out);
/* Asks; on_part gets the answer as it comes; prints errors to stderr. */
int ctl_stream(const struct ctl *c, const char *method, const char *target,
	       bool (*on_part)(void *user, const void *bytes, size_t len), void *user);

#endif
