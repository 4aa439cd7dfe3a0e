/* Tokens revoked by the administrator: said, listed, taken back.
 *
 * The word goes into the process's table first, which every handshake asks, and then to the open connections: one that is
 * being opened meanwhile finds it in the table (ws_relay_start looks again). */
#include "control/admin_commands.h"
#include "control/admin_connections.h"
#include "control/control.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define WANTED "a body like {\"jti\": \"...\"} or {\"sub\": \"...\"} is wanted, with \"seconds\": N where it ends again"

static const char *const names[] = { [TOKEN_JTI] = "jti", [TOKEN_SUB] = "sub" };

static uint64_t now_s(void)
{
	return clock_wall_ns() / 1000000000;
}

/* Exactly one of the names; NULL: none, both, or no text. */
static const char *body_name(const json_t *body, enum token_name *by)
{
	const char *found = NULL;

	for (unsigned i = 0; i < TOKEN_NAMES; i++) {
		const json_t *value = json_object_get(body, names[i]);

		if (value == NULL)
			continue;
		if (found != NULL || !json_is_string(value))
			return NULL;
		found = json_string_value(value);
		*by = (enum token_name)i;
	}
	return found;
}

static void closed(struct admin_client *c, uint64_t count)
{
	admin_answer_json(c, 200, json_pack("{s:I}", "closed", (json_int_t)count));
}

static void revoke_name(struct admin_client *c, enum token_name by, const char *name, uint64_t seconds)
{
	struct walk_options o = { .limit = UINT64_MAX, .is_ending = true, .done = closed,
				  .end = { .why = REASON_TOKEN_REVOKED } };
	struct revocations *r = admin_control(c)->revocations;
	uint64_t now = now_s();
	int err = revocations_add(r, by, name, seconds > 0 ? now + seconds : 0, now);

	if (err == -EINVAL)
		admin_problem(c, 400, "a name has 1 to %u bytes", REVOCATION_TEXT_MAX);
	else if (err < 0)
		admin_problem(c, 503, "%s", err == -ENOSPC ? "too many revocations: let some end, or use revoked_file" :
							     "memory is exhausted");
	if (err < 0)
		return;
	log_info("admin: a token is revoked by its %s", names[by]);
	o.filter.token.at[by] = token_name_hash(r, by, name, strlen(name));
	walk_start(c, &o);
}

void admin_revoke(struct admin_client *c)
{
	json_t *body = json_loadb(c->body_text.at != NULL ? c->body_text.at : "", c->body_text.len, JSON_REJECT_DUPLICATES,
				  NULL);
	const json_t *seconds = json_object_get(body, "seconds");
	enum token_name by = TOKEN_JTI;
	const char *name = body_name(body, &by);

	if (name == NULL || (seconds != NULL && (!json_is_integer(seconds) || json_integer_value(seconds) < 0)))
		admin_problem(c, 400, "%s", WANTED);
	else
		revoke_name(c, by, name, (uint64_t)json_integer_value(seconds));
	json_decref(body);
}

static void list_add(void *user, enum token_name by, const char *text, uint64_t until_s)
{
	json_t *one = json_pack("{s:s}", names[by], text);

	if (until_s != 0)
		json_object_set_new(one, "until", json_integer((json_int_t)until_s));
	json_array_append_new(user, one);
}

void admin_revocations(struct admin_client *c)
{
	json_t *list = json_array();

	revocations_each(admin_control(c)->revocations, now_s(), list_add, list);
	admin_answer_json(c, 200, json_pack("{s:o}", "revocations", list));
}

void admin_unrevoke(struct admin_client *c)
{
	char name[REVOCATION_TEXT_MAX + 1];

	for (unsigned i = 0; i < TOKEN_NAMES; i++) {
		if (!admin_param(c, names[i], name, sizeof(name)))
			continue;
		if (revocations_remove(admin_control(c)->revocations, (enum token_name)i, name))
			admin_answer_json(c, 200, json_pack("{s:s}", names[i], name));
		else
			admin_problem(c, 404, "no %s \"%.64s\" is revoked", names[i], name);
		return;
	}
	admin_problem(c, 400, "which one? ?jti= or ?sub= is wanted");
}
