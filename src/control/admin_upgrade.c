/* The command that has the binary on disk take over. */
#include "control/admin_commands.h"

#include "control/control.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct waiter {
	struct upgrade_waiter base;
	struct admin_client *client;
};

static json_t *lines_of(const char *text)
{
	json_t *list = json_array();

	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		json_array_append_new(list, json_stringn(text, len));
		text += len;
		text += *text == '\n';
	}
	return list;
}

static void on_done(struct upgrade_waiter *base, pid_t pid, const char *why)
{
	struct waiter *w = container_of(base, struct waiter, base);

	w->client->keep_alive = w->client->keep_alive && pid == 0; /* the next request is for the other process */
	if (pid == 0)
		admin_problem_with(w->client, 422, "refused: the running process goes on", lines_of(why));
	else
		admin_answer_json(w->client, 200, json_pack("{s:i, s:i}", "pid", (int)pid, "before", (int)getpid()));
	free(w);
}

void admin_upgrade(struct admin_client *c)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		admin_problem(c, 503, "out of memory");
		return;
	}
	w->client = c;
	w->base.done = on_done;
	upgrade_ask_for(admin_control(c), &w->base);
}
