/* The commands about the configuration: read again, and what that would change. */
#include "control/admin_commands.h"

#include "config/diff.h"
#include "control/control.h"

#include <jansson.h>
#include <stdlib.h>

static void add_change(void *list, const char *path, const char *from, const char *to)
{
	json_t *row = json_pack("{s:s}", "key", path);

	if (from != NULL)
		json_object_set_new(row, "from", json_string(from));
	if (to != NULL)
		json_object_set_new(row, "to", json_string(to));
	json_object_set_new(row, "change", json_string(from == NULL ? "added" : to == NULL ? "removed" : "changed"));
	json_array_append_new(list, row);
}

static json_t *changes_of(const struct config *old, const struct config *fresh)
{
	json_t *list = json_array();

	config_diff(old, fresh, add_change, list);
	return list;
}

/* Errors when there are any, else warnings. */
static json_t *texts_of(const struct config_errors *e, bool is_warning)
{
	json_t *list = json_array();

	for (size_t i = 0; i < e->list_count; i++)
		if (e->list[i].is_warning == is_warning)
			json_array_append_new(list, json_string(e->list[i].text));
	return list;
}

/* ---- what a reload would change ---- */

void admin_config_diff(struct admin_client *c)
{
	struct control *control = admin_control(c);
	struct config_errors errors;
	struct snapshot *s;

	config_errors_init(&errors);
	s = control_load(control, &errors);
	if (s == NULL)
		admin_problem_with(c, 422, "the configuration has errors: a reload would be refused",
				   texts_of(&errors, false));
	else
		admin_answer_json(c, 200,
				  json_pack("{s:o, s:o}", "changes", changes_of(control->snapshot->config, s->config),
					    "warnings", texts_of(&errors, true)));
	snapshot_unref(s);
	config_errors_done(&errors);
}

/* ---- a reload ---- */

struct waiter {
	struct reload_waiter base;
	struct admin_client *client;
	json_t *changes, *warnings;
};

static void on_read(struct reload_waiter *base, const struct config *old, const struct config *fresh,
		    const struct config_errors *errors)
{
	struct waiter *w = container_of(base, struct waiter, base);

	json_decref(w->changes);
	json_decref(w->warnings);
	w->changes = changes_of(old, fresh);
	w->warnings = texts_of(errors, true);
}

static void on_done(struct reload_waiter *base, const struct config_errors *errors)
{
	struct waiter *w = container_of(base, struct waiter, base);

	if (errors != NULL)
		admin_problem_with(w->client, 422, "refused: the old configuration stays in force",
				   texts_of(errors, false));
	else
		admin_answer_json(w->client, 200, json_pack("{s:O, s:O}", "changes", w->changes, "warnings", w->warnings));
	json_decref(w->changes);
	json_decref(w->warnings);
	free(w);
}

void admin_reload(struct admin_client *c)
{
	struct waiter *w = admin_control(c)->shutdown.state == SHUTDOWN_NOT ? calloc(1, sizeof(*w)) : NULL;

	if (w == NULL) {
		admin_problem(c, 503, "not any more: the process is about to end");
		return;
	}
	w->client = c;
	w->base.read = on_read;
	w->base.done = on_done;
	reload_ask_for(admin_control(c), &w->base);
}
