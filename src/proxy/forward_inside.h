/* What the rooms of a forward share: the forward itself, and who does what to it.
 *
 *   forward           the request's and the response's way, deadlines, failures
 *   forward_affinity  what brings the client back to its endpoint: cookies, learned sessions
 *   forward_upgrade   a 101: both become frames
 *
 * Included by these rooms alone. */
#ifndef PROXY_FORWARD_INSIDE_H
#define PROXY_FORWARD_INSIDE_H

#include "proxy/affinity.h"
#include "proxy/backend.h"
#include "proxy/forward.h"
#include "proxy/head_response.h"
#include "proxy/held.h"
#include "proxy/preface.h"
#include "wire/http1_body.h"
#include "wire/http1_parse.h"

struct forward {
	struct exchange *x;
	struct backend backend;
	struct timer timer;
	struct slice head; /* as it leaves; kept until the response is there, for another try */
	struct held held;  /* of the response, what has to wait for more */
	struct held learn; /* of its body, what may name a session */
	struct http1_scan scan;
	struct http1_body body;
	uint64_t active_ms; /* when the endpoint last sent or took something */
	struct preface preface;
	bool has_answered : 1;	/* any byte of a response */
	bool body_begun : 1;	/* some of the request's body has left */
	bool head_seen : 1;	/* of the final response */
	bool keep_alive : 1;	/* the endpoint's connection may serve again */
	bool has_cookie : 1;	/* it brought backend.pick.wanted */
	bool has_session : 1;	/* the request shows one: affinity.learn has nothing to learn */
	bool learns : 1;	/* the body may name one */
	bool is_paused : 1;	/* the client takes nothing: the endpoint is not read */
	bool is_full : 1;	/* the client takes nothing more */
};

static inline const struct cluster_config *forward_config(const struct forward *f)
{
	return f->backend.cluster->view->config;
}

static inline struct worker *forward_worker(const struct forward *f)
{
	return f->backend.worker;
}

static inline struct response_head forward_response(const struct http_head *head)
{
	return (struct response_head){
		.status = head->status,
		.reason = head->reason_len > 0 ? head->reason : NULL,
		.reason_len = head->reason_len,
		.from = head,
		.framing = RESPONSE_NO_BODY,
	};
}

/* Lets go of the exchange and of all that is held; the backend has been dropped, kept or given before. */
void forward_free(struct forward *f);
/* The client gets a refusal, or sees that its response broke off. */
void forward_fail(struct forward *f, enum reason why);

/* A cookie, where the client showed none of the endpoint that answers.  `text` holds it as long as the head is used. */
void forward_cookie_add(const struct forward *f, struct response_head *out, struct http_field *field, struct str *text);
/* What the response names a session by, where affinity.learn looks. */
void forward_learn_head(struct forward *f, const struct http_head *head);
void forward_learn_body(struct forward *f, struct slice in);

/* The 101 has come, and `rest` behind it: a good one makes frames of both, and the forward is gone. */
void forward_upgrade(struct forward *f, const struct http_head *head, struct slice rest);

#endif
