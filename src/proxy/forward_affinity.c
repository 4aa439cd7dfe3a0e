/* What brings a client back to the endpoint that answered: a cookie, or a session that the response names. */
#include "proxy/forward_inside.h"

#include <string.h>

void forward_cookie_add(const struct forward *f, struct response_head *out, struct http_field *field, struct str *text)
{
	const struct backend *b = &f->backend;
	const struct affinity_cookie *c = forward_config(f)->affinity.cookie;

	if (c == NULL || (f->has_cookie && b->pick.wanted->endpoint == b->endpoint))
		return;
	if (!affinity_cookie_write(text, c, cluster_view_member(b->cluster->view, b->endpoint)))
		return;
	*field = (struct http_field){ "set-cookie", text->at, (uint32_t)text->len, 10, HTTP_SET_COOKIE };
	out->own = field;
	out->own_count = 1;
}

static void session_learn(const struct forward *f, const char *session, size_t len)
{
	if (len > 0 && len <= AFFINITY_SESSION_MAX)
		cluster_session_learn(f->backend.cluster->view, session, len, f->backend.endpoint,
				      forward_worker(f)->ring.now_ms);
}

void forward_learn_head(struct forward *f, const struct http_head *head)
{
	const struct affinity_learn *learn = forward_config(f)->affinity.learn;
	const struct http_field *field;

	if (learn == NULL)
		return;
	if (learn->from == LEARN_FROM_HEADER) {
		field = http_head_find_name(head, learn->key, strlen(learn->key), NULL);
		if (field != NULL)
			session_learn(f, field->value, field->value_len);
	} else {
		f->learns = !f->has_session && head->status / 100 == 2;
	}
}

void forward_learn_body(struct forward *f, struct slice in)
{
	/* pieces are joined: a name may be cut anywhere */
	uint32_t room = AFFINITY_BODY_MAX - f->learn.len;
	const char *session;
	size_t len;
	struct slice joined;

	f->learns = held_append(&f->learn, slice_sub(in, 0, in.len < room ? in.len : room));
	joined = held_slice(&f->learn);
	if (f->learns && affinity_session_scan(joined.at, joined.len, forward_config(f)->affinity.learn->key, &session, &len)) {
		session_learn(f, session, len);
		f->learns = false;
	}
	if (f->learn.len >= AFFINITY_BODY_MAX)
		f->learns = false;
	if (!f->learns)
		held_done(&f->learn);
}
